package dev.lithe.tokenize;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import dev.lithe.fault.LitheException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/// A model's tokenizer, from its `tokenizer.json`. Safe for use by several threads.
public final class Tokenizer implements AutoCloseable {
    private static final long MAX_BYTES = 256L << 20;

    private final HuggingFaceTokenizer tokenizer;
    private final Path file;

    private Tokenizer(HuggingFaceTokenizer tokenizer, Path file) {
        this.tokenizer = tokenizer;
        this.file = file;
    }

    /// Reads `tokenizer.json` of a model folder.
    public static Tokenizer open(Path folder) {
        Path file = folder.resolve("tokenizer.json");
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput(
                    "%s is missing; Lithe needs the model's fast tokenizer", file);
        }
        try {
            long bytes = Files.size(file);
            if (bytes > MAX_BYTES) {
                throw LitheException.badInput(
                        "%s: %d bytes, the limit is %d", file, bytes, MAX_BYTES);
            }
            return parse(Files.readAllBytes(file), file);
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", file, firstLine(e)).causedBy(e);
        }
    }

    /// Of a `tokenizer.json` that is not written yet; `file` names it in errors.
    public static Tokenizer parse(byte[] json, Path file) {
        requireLibrary();
        try (InputStream in = new ByteArrayInputStream(json)) {
            var options =
                    Map.of(
                            "addSpecialTokens",
                            "true",
                            "truncation",
                            "do_not_truncate",
                            "padding",
                            "false");
            return new Tokenizer(HuggingFaceTokenizer.newInstance(in, options), file);
        } catch (IOException | RuntimeException e) {
            throw LitheException.badInput("%s is no valid tokenizer: %s", file, firstLine(e))
                    .causedBy(e);
        }
    }

    private static void requireLibrary() {
        try {
            LibUtils.checkStatus();
        } catch (RuntimeException | LinkageError e) {
            throw LitheException.internal(
                    "the tokenizer's native library did not load: "
                            + e.getMessage()
                            + "; check that DJL_CACHE_DIR can be written",
                    e);
        }
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage())
                .lines()
                .findFirst()
                .orElse(e.getClass().getSimpleName());
    }

    /// The ids of `text`.
    ///
    /// @param specialTokens whether to add what the model expects around a prompt, such as a start
    ///   token
    public int[] encode(String text, boolean specialTokens) {
        long[] ids = tokenizer.encode(text, specialTokens, false).getIds();
        return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
    }

    /// Where the token at each place of `text` ends, special tokens aside: how many characters
    /// (code points) lie before.
    public int[] ends(String text) {
        var spans = tokenizer.encode(text, false, false).getCharTokenSpans();
        int[] ends = new int[spans.length];
        int end = 0;
        for (int i = 0; i < ends.length; i++) {
            end = spans[i] == null ? end : Math.max(end, spans[i].getEnd());
            ends[i] = end;
        }
        return ends;
    }

    /// The text of `ids`; special tokens are left out.
    public String decode(int... ids) {
        return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
    }

    /// The file it was read from.
    public Path file() {
        return file;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
