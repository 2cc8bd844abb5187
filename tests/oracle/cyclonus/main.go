// SPDX-License-Identifier: Apache-2.0

// Judges flows by NetworkPolicies with the matcher of cyclonus. Each line of stdin is a
// cluster with questions, as JSON; the answer is a line with a letter for each question:
// "a" allowed, "d" denied. See tests/oracle/cyclonus.h for what it is not asked.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

type workload struct {
	Namespace       string
	NamespaceLabels map[string]string
	Labels          map[string]string
}

// query is about one direction. Subject and Peer are numbers of workloads, a Peer of -1 is
// outside of the cluster.
type query struct {
	Ingress  bool
	Subject  int
	Peer     int
	Address  string // of the peer
	Port     int
	Protocol corev1.Protocol
	Names    []string // that the called workload gives to the port, and ""
}

type cluster struct {
	Workloads []workload
	Policies  []*networkingv1.NetworkPolicy
	Queries   []query
}

func (c *cluster) end(number int, address string) *matcher.TrafficPeer {
	if number < 0 {
		return &matcher.TrafficPeer{IP: address}
	}
	w := c.Workloads[number]
	return &matcher.TrafficPeer{
		IP: address,
		Internal: &matcher.InternalPeer{
			PodLabels:       w.Labels,
			NamespaceLabels: w.NamespaceLabels,
			Namespace:       w.Namespace,
		},
	}
}

// allows asks once for each name of the port: cyclonus knows of one a time.
func (c *cluster) allows(policy *matcher.Policy, q query) bool {
	// the subject's own address is in no rule
	traffic := &matcher.Traffic{
		Source:       c.end(q.Subject, "192.0.2.1"),
		Destination:  c.end(q.Peer, q.Address),
		ResolvedPort: q.Port,
		Protocol:     q.Protocol,
	}
	if q.Ingress {
		traffic.Source, traffic.Destination = traffic.Destination, traffic.Source
	}
	for _, name := range q.Names {
		traffic.ResolvedPortName = name
		if policy.IsIngressOrEgressAllowed(traffic, q.Ingress).IsAllowed() {
			return true
		}
	}
	return false
}

func (c *cluster) judge() []byte {
	policy := matcher.BuildNetworkPolicies(false, c.Policies)
	answer := make([]byte, 0, len(c.Queries)+1)
	for _, q := range c.Queries {
		if c.allows(policy, q) {
			answer = append(answer, 'a')
		} else {
			answer = append(answer, 'd')
		}
	}
	return append(answer, '\n')
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var c cluster
		if err := in.Decode(&c); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if _, err := os.Stdout.Write(c.judge()); err != nil {
			log.Fatal(err)
		}
	}
}
