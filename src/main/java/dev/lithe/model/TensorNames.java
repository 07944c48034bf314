package dev.lithe.model;

/// What a family calls its tensors, `.weight` and `.bias` aside; those of a block stand behind
/// [#blocks], its number and a dot. What a family does not have is empty.
///
/// @param positions learned vectors that are added to the embeddings
/// @param qkv where q, k and v are one linear
/// @param gateUp where gate and up are one
/// @param up the only one of the two where nothing is gated
record TensorNames(
        String embedding,
        String positions,
        String blocks,
        String q,
        String k,
        String v,
        String qkv,
        String o,
        String gate,
        String up,
        String gateUp,
        String down,
        String inputNorm,
        String mlpNorm,
        String finalNorm) {
    /// Llama's, which most share.
    static final TensorNames USUAL =
            new TensorNames(
                    "model.embed_tokens",
                    "",
                    "model.layers.",
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "self_attn.qkv_proj",
                    "self_attn.o_proj",
                    "mlp.gate_proj",
                    "mlp.up_proj",
                    "mlp.gate_up_proj",
                    "mlp.down_proj",
                    "input_layernorm",
                    "post_attention_layernorm",
                    "model.norm");
}
