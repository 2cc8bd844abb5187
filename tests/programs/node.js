// SPDX-License-Identifier: Apache-2.0
// Usage: node.js serve PORT | call HOST PORT
//
// An HTTP server that answers GET /N with N bytes and echoes what is posted while it
// still reads, and a client with keep-alive that checks every byte.
"use strict";

const http = require("node:http");

const SIZES = [1, 100, 5000, 40000, 300000, 2000000];
const ROUNDS = 30;

function pattern(size) {
	const data = Buffer.alloc(size);
	for (let i = 0; i < size; i++) {
		data[i] = i % 251;
	}
	return data;
}

function serve(port) {
	const server = http.createServer((request, response) => {
		if (request.method === "POST") {
			request.pipe(response);
		} else {
			response.end(pattern(Number(request.url.slice(1))));
		}
	});
	server.listen(port, () => console.log("ready"));
}

function call(options, body) {
	return new Promise((resolve, reject) => {
		const request = http.request(options, (response) => {
			const parts = [];
			response.on("data", (part) => parts.push(part));
			response.on("end", () => resolve(Buffer.concat(parts)));
			response.on("error", reject);
		});
		request.on("error", reject);
		request.end(body);
	});
}

async function caller(target) {
	for (let round = 0; round < ROUNDS; round++) {
		for (const size of SIZES) {
			const data = pattern(size);
			const got = await call({ ...target, path: "/" + size });
			const echo = await call({ ...target, method: "POST", path: "/" }, data);
			if (!got.equals(data) || !echo.equals(data)) {
				throw new Error(`${size} bytes came wrong`);
			}
		}
	}
}

async function callAll(host, port) {
	const agent = new http.Agent({ keepAlive: true });
	const callers = [];
	for (let i = 0; i < 4; i++) {
		callers.push(caller({ host, port, agent }));
	}
	await Promise.all(callers);
	console.log(`${callers.length * ROUNDS * SIZES.length} right`);
	agent.destroy();
}

if (process.argv[2] === "serve") {
	serve(Number(process.argv[3]));
} else {
	callAll(process.argv[3], Number(process.argv[4]));
}
