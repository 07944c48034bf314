package dev.lithe.tokenize;

import dev.lithe.checkpoint.Sha256;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// A text to measure or calibrate with: UTF-8, read whole and known by its hash.
///
/// @param name the file's name
/// @param sha256 of the file's bytes, in hexadecimal
/// @param content the text itself
public record TextFile(String name, String sha256, String content) {
    private static final long MAX_BYTES = 64L << 20;

    /// Reads `file`.
    ///
    /// @throws LitheException where it is missing, empty, larger than 64 MiB, or no UTF-8 text
    public static TextFile read(Path file) {
        if (!Files.isRegularFile(file)) {
            throw LitheException.badInput("%s is no file; give a UTF-8 text", file);
        }
        try {
            long bytes = Files.size(file);
            if (bytes == 0 || bytes > MAX_BYTES) {
                throw LitheException.badInput(
                        "%s holds %d bytes; a text holds 1 to %d", file, bytes, MAX_BYTES);
            }
            byte[] content = Files.readAllBytes(file);
            return new TextFile(
                    file.getFileName().toString(), Sha256.of(content), decode(file, content));
        } catch (IOException e) {
            throw LitheException.badInput(
                            "%s cannot be read (%s)", file, e.getClass().getSimpleName())
                    .causedBy(e);
        }
    }

    private static String decode(Path file, byte[] content) {
        try {
            String text =
                    StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(content)).toString();
            if (text.indexOf('\0') < 0) {
                return text;
            }
        } catch (CharacterCodingException _) {
            // reported below, with the other sign of a binary file
        }
        throw LitheException.badInput("%s is no UTF-8 text; give a plain text file", file);
    }

    /// Its token ids, without special tokens.
    public int[] tokenize(Tokenizer tokenizer) {
        return tokenizer.encode(content, false);
    }
}
