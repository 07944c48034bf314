package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// The program that [KilledWriterTest] kills: it replaces one model again and again. All bytes of a
/// model are its generation's number, so a mixture of two would show.
final class KilledWriter {
    static final int TENSORS = 4;
    static final int TENSOR_BYTES = 1 << 19;
    static final int MAX_SHARD_BYTES = TENSOR_BYTES * 3 / 2;
    static final String READY = "ready";

    private KilledWriter() {}

    /// When the program announces itself.
    enum Announce {
        /// As it starts to write the first model.
        EARLY,
        /// When the first model is finished; it goes on with the next.
        LATE,
        /// When it holds the target; it then waits for input.
        HOLDING
    }

    public static void main(String... arguments) throws IOException {
        Path target = Path.of(arguments[0]);
        Announce when = Announce.valueOf(arguments[1]);
        if (when == Announce.EARLY) {
            announce();
        }
        for (int generation = 1; ; generation++) {
            write(target, (byte) generation, when == Announce.HOLDING);
            if (when == Announce.LATE && generation == 1) {
                announce();
            }
        }
    }

    static void write(Path target, byte generation, boolean hold) throws IOException {
        byte[] bytes = new byte[TENSOR_BYTES];
        Arrays.fill(bytes, generation);
        try (var writer = CheckpointWriter.open(target, true, null, MAX_SHARD_BYTES)) {
            if (hold) {
                announce();
                int _ = System.in.read();
            }
            for (int i = 0; i < TENSORS; i++) {
                writer.write(
                        "t" + i,
                        DType.U8,
                        List.of((long) TENSOR_BYTES),
                        List.of(spool -> spool.write(ByteBuffer.wrap(bytes))));
            }
            writer.json("config.json", TinyModel.small().config());
            writer.text("generation.txt", HexFormat.of().toHexDigits(generation));
            writer.finish(new JsonMapper().createObjectNode());
        }
    }

    private static void announce() {
        System.out.println(READY);
        System.out.flush();
    }

    /// Starts it in a process of its own and waits until it announces itself.
    static Process start(Path target, Announce when, Path errors) throws IOException {
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:TieredStopAtLevel=1",
                                "-cp",
                                System.getProperty("java.class.path"),
                                KilledWriter.class.getName(),
                                target.toString(),
                                when.name())
                        .redirectError(errors.toFile())
                        .start();
        if (!READY.equals(process.inputReader().readLine())) {
            kill(process, 0);
            throw new IOException("the writer did not start: " + Files.readString(errors));
        }
        return process;
    }

    /// Kills it after `milliseconds`, unless it ended before.
    ///
    /// @return whether it was alive until then
    static boolean kill(Process process, long milliseconds) {
        try {
            boolean ended = process.waitFor(milliseconds, TimeUnit.MILLISECONDS);
            process.destroyForcibly().waitFor();
            return !ended;
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
