package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// Hashes of files.
public final class Sha256 {
    private Sha256() {}

    /// A new digest.
    static MessageDigest digest() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw LitheException.internal("this JDK has no SHA-256", e);
        }
    }

    /// The sha256 of `content`, in lower-case hexadecimal.
    public static String of(byte[] content) {
        return HexFormat.of().formatHex(digest().digest(content));
    }

    /// The sha256 of a file's content, in lower-case hexadecimal.
    public static String of(Path file) {
        MessageDigest digest = digest();
        try (InputStream in = Files.newInputStream(file)) {
            in.transferTo(new DigestOutputStream(java.io.OutputStream.nullOutputStream(), digest));
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
