package dev.lithe.tokenize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextFileTest {
    @TempDir private Path folder;

    @Test
    void isKnownByItsHash() throws IOException {
        Path file = Files.writeString(folder.resolve("a.txt"), "abc");
        var text = TextFile.read(file);
        assertThat(text.name()).isEqualTo("a.txt");
        assertThat(text.content()).isEqualTo("abc");
        assertThat(text.sha256())
                .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    @Test
    void whatIsNoTextIsRefusedInOneLine() throws IOException {
        refuse(folder.resolve("missing.txt"), "is no file");
        refuse(folder, "is no file");
        refuse(Files.createFile(folder.resolve("empty.txt")), "0 bytes");
        refuse(
                Files.write(folder.resolve("latin1.txt"), new byte[] {'a', (byte) 0xe9, 'b'}),
                "no UTF-8 text");
        refuse(Files.write(folder.resolve("zeros.bin"), new byte[100]), "no UTF-8 text");
    }

    @Test
    void aHugeFileIsRefusedUnread() throws IOException {
        Path file = folder.resolve("huge.txt");
        try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.setLength(1L << 40);
        }
        refuse(file, "1099511627776 bytes");
    }

    private static void refuse(Path file, String reason) {
        assertThatThrownBy(() -> TextFile.read(file))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .hasMessageContaining(reason)
                .hasMessageContaining(file.toString())
                .hasMessageNotContaining("\n");
    }
}
