package dev.lithe.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Device;
import java.nio.file.Path;

/// How a running model keeps keys and values: in float32, or in 8 or 4 bits.
///
/// A model that keeps them in fewer bits says so in `config.json`, as `"lithe_kv_cache": {"format":
/// "lithe.kv/v1", "keys": 4, "values": 8}`. Other programs ignore it and keep floats.
/// `kv_cache_scheme` of compressed-tensors has symmetric schemes only.
///
/// `lithe.kv/v1`: the hd numbers of one head of one token are x = u s + m, with m the least of
/// them, s = (greatest - m) / (2^b - 1), and u whole numbers, to nearest; s and m are float32 for 8
/// bits and float16 for 4. Keys are taken after their rotary positions. Those in 4 bits are
/// multiplied by the Hadamard matrix over sqrt(n) first, n the largest power of two that divides
/// hd, n coordinates at a time, and so are queries.
///
/// @param keys 16 for float32, 8 or 4
/// @param values 16 for float32, 8 or 4
public record KvCacheForm(int keys, int values) {
    /// What a model has that says nothing.
    public static final KvCacheForm FLOAT = new KvCacheForm(16, 16);

    private static final String KEY = "lithe_kv_cache";
    private static final String FORMAT = "lithe.kv/v1";

    /// Tokens whose keys lie side by side, at most; a multiple of the second number.
    private static final int TOKENS = 256;

    private static final int TOKENS_STEP = 32;

    public KvCacheForm {
        check("keys", keys);
        check("values", values);
    }

    private static void check(String which, int bits) {
        if (bits != 4 && bits != 8 && bits != 16) {
            throw LitheException.badInput(
                    "%s in %d bits; choose 4 or 8, or 16 to leave them in float", which, bits);
        }
    }

    /// Checks that a model in `folder`, there already or to be made, can be run.
    ///
    /// @throws LitheException where it can be kept on the processor only, and `device` is another
    public void requireOn(Device device, Path folder) {
        if (!device.isCpu() && !equals(FLOAT)) {
            throw LitheException.badInput(
                    "%s keeps keys and values in %s, which runs on the processor only; use --device cpu"
                            + " in the place of %s",
                    folder, label(), device);
        }
    }

    /// What `config`, which `where` names in errors, says.
    static KvCacheForm of(ConfigReader config, String where) {
        if (!config.has(KEY)) {
            return FLOAT;
        }
        ConfigReader section = config.section(KEY, FORMAT);
        try {
            return new KvCacheForm(section.count("keys"), section.count("values"));
        } catch (LitheException e) {
            throw LitheException.badInput("%s: %s: %s", where, KEY, e.getMessage()).causedBy(e);
        }
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        config.remove(KEY);
        if (!equals(FLOAT)) {
            config.putObject(KEY).put("format", FORMAT).put("keys", keys).put("values", values);
        }
    }

    /// For people: `int8` or `int4 keys, float32 values`.
    public String label() {
        return keys == values ? name(keys) : name(keys) + " keys, " + name(values) + " values";
    }

    private static String name(int bits) {
        return bits == 16 ? "float32" : "int" + bits;
    }

    /// Bytes of one sequence's cache with room for `positions`.
    public long bytes(ModelSpec spec, int positions) {
        long heads = (long) spec.attentionBlocks() * spec.kvHeads();
        return heads
                * (keyBytes(spec.headDim(), positions) + valueBytes(spec.headDim(), positions));
    }

    private long keyBytes(long width, long positions) {
        if (keys == 16) {
            return positions * width * Float.BYTES;
        }
        long blocks = ceil(positions, TOKENS);
        long tokens = ceil(ceil(positions, blocks), TOKENS_STEP) * TOKENS_STEP;
        return blocks * width * (tokens * keys / Byte.SIZE + keys) + positions * keys;
    }

    private long valueBytes(long width, long positions) {
        return positions
                * (values == 16 ? width * Float.BYTES : width * values / Byte.SIZE + values);
    }

    private static long ceil(long a, long b) {
        return (a + b - 1) / b;
    }
}
