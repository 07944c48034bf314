package dev.lithe.route;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Locale;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

/// Who got which variant and how that went: one line of JSON per request, appended to a file when
/// the request ends. No text of a prompt or an answer goes there; the key does, to join lines with
/// what else is known of it. A thread of its own writes; lines that come faster than the disk takes
/// them are dropped and counted.
public final class ExposureLog implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();
    private static final int WAITING = 4096;

    private final Path file;
    private final BufferedWriter writer;
    private final BlockingQueue<ObjectNode> lines = new ArrayBlockingQueue<>(WAITING);
    private final LongAdder dropped = new LongAdder();
    private final Thread thread;
    private volatile boolean closed;

    private ExposureLog(Path file, BufferedWriter writer) {
        this.file = file;
        this.writer = writer;
        this.thread = Thread.ofPlatform().daemon().name("lithe-exposures").start(this::write);
    }

    /// @throws LitheException where the file cannot be written
    public static ExposureLog open(Path file) {
        try {
            return new ExposureLog(
                    file,
                    Files.newBufferedWriter(
                            file, StandardOpenOption.CREATE, StandardOpenOption.APPEND));
        } catch (IOException e) {
            throw LitheException.badInput(
                            "the exposure log %s cannot be written (%s); choose another",
                            file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// A listener that passes on what it hears and writes a line at the end.
    ///
    /// @param key of the request, or empty
    public GenerationListener watch(
            Route route, String requestId, String key, GenerationListener listener) {
        return new Watched(route, requestId, key, listener);
    }

    /// Lines that were lost.
    public long dropped() {
        return dropped.sum();
    }

    private void write() {
        try {
            while (!closed || !lines.isEmpty()) {
                ObjectNode line = lines.poll(100, TimeUnit.MILLISECONDS);
                if (line == null) {
                    writer.flush();
                } else {
                    writer.write(line.toString());
                    writer.newLine();
                }
            }
            writer.close();
        } catch (IOException e) {
            closed = true;
            System.getLogger(ExposureLog.class.getName())
                    .log(System.Logger.Level.ERROR, "the exposure log " + file + " broke", e);
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    /// Writes what waits.
    @Override
    public void close() {
        closed = true;
        try {
            thread.join(TimeUnit.SECONDS.toMillis(5));
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private final class Watched extends ForwardingListener {
        private final ObjectNode line = JSON.createObjectNode();

        private Watched(Route route, String requestId, String key, GenerationListener listener) {
            super(listener);
            line.put("time", Instant.now().toString()).put("request_id", requestId);
            line.put("key", key).put("variant", route.variant().name());
            line.put("reason", route.reason().name().toLowerCase(Locale.ROOT));
        }

        private void end(String end) {
            if (closed || !lines.offer(line.put("end", end))) {
                dropped.increment();
            }
        }

        @Override
        public void onFinish(Finish finish) {
            line.put("prompt_tokens", finish.promptTokens());
            line.put("output_tokens", finish.outputTokens());
            line.put("queue_ms", finish.queueMillis());
            line.put("time_to_first_token_ms", finish.firstTokenMillis());
            line.put("decode_ms", finish.decodeMillis());
            end(finish.reason().name().toLowerCase(Locale.ROOT));
            super.onFinish(finish);
        }

        @Override
        public void onError(LitheException error) {
            end(error.fault().name().toLowerCase(Locale.ROOT));
            super.onError(error);
        }
    }
}
