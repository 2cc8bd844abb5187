// SPDX-License-Identifier: Apache-2.0

// gohttp is what Go programs in a mesh are: a net/http server, its client, and a TCP
// proxy. Every byte is told by its place, and checked.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

const usage = `Usage: gohttp serve ADDRESS FILE        an HTTP server: /bytes?size=N, /file, POST /sum
       gohttp client URL                 calls it from 8 goroutines, prints sums
       gohttp copy ADDRESS TARGET        a TCP proxy by io.Copy, which uses splice(2)
       gohttp buffer ADDRESS TARGET      the same with a buffer: read(2), write(2)
`

var sizes = []int{1, 100, 1000, 5000, 40000, 200000, 1000000}

// pattern has period 251, so that nothing is like what stands a power of two further.
func pattern(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// ---- server ---------------------------------------------------------------------

func serve(address, file string) {
	http.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Query().Get("size"))
		if err != nil {
			http.Error(w, "size: expected a number", http.StatusBadRequest)
			return
		}
		w.Write(pattern(size))
	})
	// by sendfile(2)
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, file)
	})
	http.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		n, err := io.Copy(hash, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d %x", n, hash.Sum(nil))
	})
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("ready")
	check(http.Serve(listener, nil))
}

// ---- client ---------------------------------------------------------------------

func fetch(client *http.Client, url string, body []byte) ([]byte, error) {
	var response *http.Response
	var err error
	if body == nil {
		response, err = client.Get(url)
	} else {
		response, err = client.Post(url, "application/octet-stream", bytes.NewReader(body))
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(url + ": " + response.Status)
	}
	return io.ReadAll(response.Body)
}

func expect(client *http.Client, url string, body, want []byte) error {
	got, err := fetch(client, url, body)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s: %d bytes, not the %d expected", url, len(got), len(want))
	}
	return err
}

// caller does everything some times over; the client keeps its connections.
func caller(client *http.Client, url string) error {
	for round := 0; round < 15; round++ {
		for _, size := range sizes {
			data := pattern(size)
			sum := []byte(fmt.Sprintf("%d %x", size, sha256.Sum256(data)))
			err := expect(client, fmt.Sprintf("%s/bytes?size=%d", url, size), nil, data)
			if err == nil {
				err = expect(client, url+"/sum", data, sum)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func call(url string) {
	var group sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			check(caller(client, url))
		}()
	}
	group.Wait()
	for i := 0; i < 3; i++ {
		file, err := fetch(client, url+"/file", nil)
		check(err)
		fmt.Printf("%d %x\n", len(file), sha256.Sum256(file))
	}
	fmt.Println("all right")
}

// ---- proxy ----------------------------------------------------------------------

// Types that hide what a TCP connection can do beside reading and writing.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

func pass(to, from *net.TCPConn, buffered bool) {
	if buffered {
		io.Copy(onlyWriter{to}, onlyReader{from})
	} else {
		io.Copy(to, from)
	}
	to.CloseWrite()
}

func proxy(address, target string, buffered bool) {
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println("ready")
	for {
		in, err := listener.Accept()
		check(err)
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", target)
			if err != nil {
				log.Print(err)
				return
			}
			defer out.Close()
			done := make(chan bool)
			go func() {
				pass(out.(*net.TCPConn), in.(*net.TCPConn), buffered)
				done <- true
			}()
			pass(in.(*net.TCPConn), out.(*net.TCPConn), buffered)
			<-done
		}()
	}
}

func main() {
	log.SetFlags(0)
	args := os.Args[1:]
	switch {
	case len(args) == 3 && args[0] == "serve":
		serve(args[1], args[2])
	case len(args) == 2 && args[0] == "client":
		call(args[1])
	case len(args) == 3 && args[0] == "copy":
		proxy(args[1], args[2], false)
	case len(args) == 3 && args[0] == "buffer":
		proxy(args[1], args[2], true)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
