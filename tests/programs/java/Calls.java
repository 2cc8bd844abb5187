// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpServer;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

/**
 * A Java HTTP server with its client, and a pair of sockets that trusts
 * InputStream.available(), which is FIONREAD. Every byte is checked.
 */
public class Calls {
    private static final int[] SIZES = {1, 100, 5000, 40000, 300000, 2000000};
    private static final int ROUNDS = 40;

    private static byte[] pattern(int size) {
        byte[] data = new byte[size];
        for (int i = 0; i < size; i++) {
            data[i] = (byte) (i % 251);
        }
        return data;
    }

    private static void expect(boolean holds, String what) {
        if (!holds) {
            System.err.println(what);
            System.exit(1);
        }
    }

    // ---- HTTP ------------------------------------------------------------------

    /** GET /N answers N bytes, POST answers what was sent. */
    private static void serveHttp(int port) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            if (exchange.getRequestMethod().equals("GET")) {
                body = pattern(Integer.parseInt(exchange.getRequestURI().getPath().substring(1)));
            }
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    private static CompletableFuture<Boolean> call(HttpClient client, HttpRequest request, int size) {
        return client.sendAsync(request, HttpResponse.BodyHandlers.ofByteArray())
                .thenApply(answer -> Arrays.equals(answer.body(), pattern(size)));
    }

    private static void callHttp(String url) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int round = 0; round < ROUNDS; round++) {
            for (int size : SIZES) {
                HttpRequest get = HttpRequest.newBuilder(URI.create(url + "/" + size)).build();
                HttpRequest post = HttpRequest.newBuilder(URI.create(url + "/"))
                        .POST(HttpRequest.BodyPublishers.ofByteArray(pattern(size))).build();
                CompletableFuture<Boolean> second = call(client, post, size);
                expect(call(client, get, size).get(), "GET of " + size + " bytes came wrong");
                expect(second.get(), "POST of " + size + " bytes came wrong");
            }
        }
        System.out.println(ROUNDS * SIZES.length + " right");
    }

    // ---- InputStream.available() -------------------------------------------------

    /** Each request is a size; that many bytes are the answer. */
    private static void serveAvailable(int port) throws IOException {
        try (ServerSocket listener = new ServerSocket(port)) {
            while (true) {
                Socket socket = listener.accept();
                new Thread(() -> answer(socket)).start();
            }
        }
    }

    private static void answer(Socket socket) {
        try (socket) {
            // a timeout makes Java use a non-blocking socket
            socket.setSoTimeout(60000);
            DataInputStream in = new DataInputStream(socket.getInputStream());
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            for (int size = in.readInt(); size > 0; size = in.readInt()) {
                out.write(pattern(size));
            }
        } catch (IOException e) {
            e.printStackTrace();
        }
    }

    /** Reads only what is said to be there, as programs do that must not wait. */
    private static void callAvailable(String host, int port) throws Exception {
        try (Socket socket = new Socket(host, port)) {
            socket.setSoTimeout(60000);
            socket.setTcpNoDelay(true);
            InputStream in = socket.getInputStream();
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            for (int round = 0; round < 300; round++) {
                int size = 1 + round * 997 % 30000;
                byte[] got = new byte[size];
                out.writeInt(size);
                for (int have = 0; have < size;) {
                    int there = in.available();
                    expect(have + there <= size, "more is there than was sent");
                    if (there == 0) {
                        Thread.sleep(0, 100000);
                    }
                    have += in.readNBytes(got, have, there);
                }
                expect(in.available() == 0, "something is left");
                expect(Arrays.equals(got, pattern(size)), "round " + round + " came wrong");
            }
            out.writeInt(0);
        }
        System.out.println("300 right");
    }

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "serve-http" -> serveHttp(Integer.parseInt(args[1]));
            case "call-http" -> callHttp(args[1]);
            case "serve-available" -> serveAvailable(Integer.parseInt(args[1]));
            case "call-available" -> callAvailable(args[1], Integer.parseInt(args[2]));
            default -> expect(false, "expected serve-http, call-http, serve-available or call-available");
        }
        if (args[0].startsWith("call")) {
            System.exit(0);
        }
    }
}
