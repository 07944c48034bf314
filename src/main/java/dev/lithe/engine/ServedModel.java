package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.tensor.Device;
import dev.lithe.tokenize.Tokenizer;
import java.nio.file.Path;

/// What the engine runs: a model and its tokenizer.
public record ServedModel(Decoder decoder, Tokenizer tokenizer) implements AutoCloseable {
    /// Loads both from a model folder, for the processor.
    public static ServedModel open(Path folder) {
        return open(folder, Device.CPU);
    }

    /// Loads both from a model folder.
    public static ServedModel open(Path folder, Device device) {
        Tokenizer tokenizer = Tokenizer.open(folder);
        try {
            return new ServedModel(Decoder.open(folder, device), tokenizer);
        } catch (RuntimeException e) {
            tokenizer.close();
            throw e;
        }
    }

    @Override
    public void close() {
        decoder.close();
        tokenizer.close();
    }
}
