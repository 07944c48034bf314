package dev.lithe.technique.quantize;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.model.KvCacheForm;
import dev.lithe.technique.Family;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Technique;

/// Keeps the keys and values of attention in 8 or 4 bits while the model runs. Zirui Liu et al.,
/// "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache" (2024), round values by token
/// and keys by channel, for some channels of keys are large; keys by channel need a tail of recent
/// tokens in floats. Here both are rounded by token, and keys in 4 bits are first turned by a
/// Hadamard matrix, which spreads those channels, as in Saleh Ashkboos et al., "QuaRot" (2024).
///
/// The hd numbers of a head of a token: x = u s + m, m = min x, s = (max x - m) / (2^b - 1), u =
/// round((x - m) / s). Keys are taken after their rotary positions; q . k = (q H) . (k H) holds for
/// the orthogonal H.
///
/// Recipe: `kv_cache: {keys: 8, values: 8}`; 4, 8, or 16 for floats, keys and values apart. Memory
/// by head and token: hd b / 8 bytes and b for s and m, where floats take 4 hd. No weight changes,
/// so it goes with any other stage, before or after. Limits: heads of 8 and less are too narrow for
/// 4 bits; keys lose far more than values do, so `{keys: 8, values: 4}` is the middle way. Another
/// program that runs the folder keeps floats.
@AutoService(Technique.class)
public final class KvCacheQuantization implements RunTechnique<KvCacheQuantization.Config> {
    /// @param keys bits of keys: 4, 8, or 16 to leave them in floats
    /// @param values bits of values, likewise
    public record Config(int keys, int values) {
        public Config {
            KvCacheForm _ = new KvCacheForm(keys, values);
        }
    }

    @Override
    public String name() {
        return "kv_cache";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "keep attention's keys and values in 8 or 4 bits while the model runs";
    }

    @Override
    public Config defaults() {
        return new Config(8, 8);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        new KvCacheForm(config.keys(), config.values()).describe(model);
    }
}
