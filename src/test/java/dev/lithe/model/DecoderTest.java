package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.Resident;
import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// The forward pass against [NaiveDecoder], for shapes that real models have and for ways of
/// feeding the tokens.
class DecoderTest {
    private static final int VOCAB = 300;
    private static final int LENGTH = 23;

    @TempDir private Path folder;

    static Stream<Arguments> models() {
        TinyModel odd = TinyModel.small().width(60, 172).heads(5, 5, 12).layers(3).seed(2);
        return Stream.of(
                argumentSet("grouped queries", TinyModel.small()),
                argumentSet("one key-value head", TinyModel.small().heads(4, 1, 8).seed(9)),
                argumentSet("odd sizes", odd),
                argumentSet("odd vocabulary", TinyModel.small().vocab(VOCAB + 1).seed(3)),
                argumentSet("biases", TinyModel.small().biases().seed(4)),
                argumentSet("tied", TinyModel.small().tied().seed(5)),
                argumentSet("wide heads", TinyModel.small().heads(6, 3, 10).seed(6)),
                argumentSet("float16", TinyModel.small().dtype(DType.F16).biases().seed(7)),
                argumentSet("bfloat16, tied", TinyModel.small().dtype(DType.BF16).tied()),
                argumentSet("stretched rotary", TinyModel.small().llama3Rope().heads(4, 2, 16)),
                argumentSet("sharded", TinyModel.small().shards(3).seed(8)));
    }

    @ParameterizedTest
    @MethodSource("models")
    void agreesWithTheNaivePass(TinyModel model) throws IOException {
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            AgainstNaive.check(decoder, model);
        }
    }

    /// Whoever asks: the kernels read and write where they are told to.
    @Test
    void nothingOutsideTheVocabularyOrTheCacheIsTouched() throws IOException {
        try (Decoder decoder = Decoder.open(TinyModel.small().write(folder));
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, LENGTH, scope);
            for (int id : new int[] {-1, VOCAB, Integer.MAX_VALUE}) {
                Value outside = AgainstNaive.ids(scope, 1, id);
                assertThatThrownBy(() -> decoder.forward(outside, 0, cache, false, scope))
                        .isInstanceOf(LitheException.class);
            }
            Value two = AgainstNaive.ids(scope, 1, 2);
            assertThatThrownBy(() -> decoder.forward(two, LENGTH - 1, cache, false, scope))
                    .isInstanceOf(LitheException.class);
        }
    }

    @Test
    void positionsAgreePastTheFirstRotaryTables() throws IOException {
        TinyModel model = TinyModel.small().layers(1).positions(10_000_000);
        int[] ids = new Random(13).ints(1060, 0, VOCAB).toArray();
        double[][] expected = new NaiveDecoder(model.config(), model.tensors()).logits(ids);
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            AgainstNaive.chunks(decoder, Arrays.copyOf(ids, LENGTH), expected, LENGTH);
            AgainstNaive.chunks(decoder, ids, expected, 1000, 1059, 1060);
        }
    }

    @Test
    void opensAContextOfTenMillionPositionsWithoutPayingForIt() throws IOException {
        TinyModel.small().positions(10_000_000).write(folder);
        long before = Resident.bytes();
        try (Decoder decoder = Decoder.open(folder)) {
            assertThat(decoder.spec().maxPositions()).isEqualTo(10_000_000);
            assertThat(Resident.bytes() - before).isLessThan(64L << 20);
        }
    }

    @Test
    void stepsAndModelsComeAndGoWithoutATrace() throws IOException {
        TinyModel.small().vocab(20_000).write(folder);
        long before = 0;
        for (int round = 0; round < 12; round++) {
            if (round == 3) {
                before = Resident.bytes();
            }
            try (Decoder decoder = Decoder.open(folder);
                    var scope = TensorScope.open()) {
                KvCache cache = decoder.newCache(4, 32, scope);
                for (int position = 0; position < 32; position++) {
                    try (var step = TensorScope.open()) {
                        Value input = step.tensor(new long[4], 4, 1);
                        decoder.forward(input, position, cache, false, step);
                    }
                }
            }
        }
        // 9 models of 5 MB, and 288 steps whose logits are 320 kB
        assertThat(Resident.bytes() - before).isLessThan(32L << 20);
    }

    @Test
    void answersEndAsEitherConfigurationSays() throws IOException {
        TinyModel.small().write(folder);
        Path generation = folder.resolve("generation_config.json");
        Files.writeString(generation, "{\"eos_token_id\": [7, 9]}");
        try (var decoder = Decoder.open(folder)) {
            assertThat(decoder.spec().eosTokens()).isNotEmpty().allMatch(decoder::ends);
            assertThat(decoder.ends(7) && decoder.ends(9)).isTrue();
            assertThat(decoder.ends(8)).isFalse();
        }
        Files.writeString(generation, "{\"eos_token_id\": 300}");
        assertThatThrownBy(() -> Decoder.open(folder))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("generation_config.json: eos_token_id is 300");
    }
}
