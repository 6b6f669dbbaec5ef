import java.io.*;
import java.nio.file.*;
import java.util.*;
import javax.servlet.annotation.*;
import javax.servlet.http.*;

/** What the stories of AJP ask a real Tomcat: bodies both ways, streams, odd statuses. */
@WebServlet(urlPatterns = "/*")
public class Echo extends HttpServlet {
    static final String NODE = System.getProperty("counter.node", "?");

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        answer.setHeader("X-Node", NODE);
        String path = request.getPathInfo();
        switch (path == null ? "/" : path) {
            case "/hash": hash(request, answer); break;
            case "/echo": echo(request, answer); break;
            case "/down": down(request, answer); break;
            case "/stream": stream(request, answer); break;
            case "/endless": endless(answer); break;
            case "/post": post(request, answer); break;
            case "/early": answer.setStatus(413); answer.getWriter().print("no"); break;
            case "/status": status(request, answer); break;
            case "/told": told(request, answer); break;
            default: answer.sendError(404);
        }
    }

    /** The length of the request's body and its FNV-1a. */
    void hash(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        long length = 0, hash = 0xcbf29ce484222325L;
        byte[] some = new byte[5000];
        InputStream in = request.getInputStream();
        for (int count; (count = in.read(some)) > 0; length += count)
            for (int i = 0; i < count; i++) hash = (hash ^ (some[i] & 0xff)) * 0x100000001b3L;
        answer.getWriter().printf("%d %016x", length, hash);
    }

    /** The request's body, while it comes. */
    void echo(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        byte[] some = new byte[3000];
        InputStream in = request.getInputStream();
        OutputStream out = answer.getOutputStream();
        for (int count; (count = in.read(some)) > 0; ) out.write(some, 0, count);
    }

    /** So many bytes of a known sequence; "length": said before, "flush": piece by piece. */
    void down(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        int length = Integer.parseInt(request.getParameter("n"));
        if (request.getParameter("length") != null) answer.setContentLength(length);
        byte[] some = new byte[10000];
        OutputStream out = answer.getOutputStream();
        for (int at = 0; at < length; ) {
            int count = Math.min(some.length, length - at);
            for (int i = 0; i < count; i++) some[i] = (byte) ((at + i) * 31 >> 3);
            out.write(some, 0, count);
            if (request.getParameter("flush") != null) out.flush();
            at += count;
        }
    }

    /** Says "first", and the request's body once that has come. */
    void stream(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        OutputStream out = answer.getOutputStream();
        out.write("first ".getBytes());
        out.flush();
        echo(request, answer);
    }

    /** Ends when nobody listens any more. */
    void endless(HttpServletResponse answer) throws IOException {
        byte[] some = new byte[65536];
        while (true) { answer.getOutputStream().write(some); answer.flushBuffer(); }
    }

    /** Notes the request's id in a file that outlives this process. */
    void post(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        hash(request, answer);
        String line = request.getHeader("X-Request-Id") + "\n";
        Path file = Paths.get(System.getProperty("catalina.base") + ".posts");
        synchronized (Echo.class) {
            Files.write(file, line.getBytes(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    void status(HttpServletRequest request, HttpServletResponse answer) {
        answer.setStatus(Integer.parseInt(request.getParameter("s")));
        answer.setHeader("ETag", "\"x\"");
    }

    /** The request as it came. */
    void told(HttpServletRequest request, HttpServletResponse answer) throws IOException {
        PrintWriter out = answer.getWriter();
        out.println(request.getMethod() + " " + request.getRequestURI() + " ? " + request.getQueryString());
        out.println("remote " + request.getRemoteAddr() + " server " + request.getServerName() + ":"
            + request.getServerPort() + " " + request.getScheme() + " secure " + request.isSecure());
        for (String name : Collections.list(request.getHeaderNames()))
            for (String value : Collections.list(request.getHeaders(name))) out.println(name + ": " + value);
        for (String name : new String[] {"javax.servlet.request.cipher_suite", "javax.servlet.request.key_size"})
            out.println(name + "=" + request.getAttribute(name));
    }
}
