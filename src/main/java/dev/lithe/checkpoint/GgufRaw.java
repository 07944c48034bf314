package dev.lithe.checkpoint;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/// A tensor of a GGUF file as its bytes, to be taken over as they are.
public final class GgufRaw {
    private final GgufFile.Tensor tensor;
    private final Path file;

    GgufRaw(GgufFile.Tensor tensor, Path file) {
        this.tensor = tensor;
        this.file = file;
    }

    /// How its numbers are stored.
    public GgufType type() {
        return tensor.type();
    }

    /// Its sizes, slowest first.
    public List<Long> shape() {
        return tensor.shape();
    }

    /// Writes its bytes.
    public void writeTo(WritableByteChannel channel) throws IOException {
        try (var source = FileChannel.open(file, StandardOpenOption.READ)) {
            for (long done = 0; done < tensor.bytes(); ) {
                long some =
                        source.transferTo(tensor.offset() + done, tensor.bytes() - done, channel);
                if (some <= 0) {
                    throw new IOException(file + " became shorter while it was read");
                }
                done += some;
            }
        }
    }
}
