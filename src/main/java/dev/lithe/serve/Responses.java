package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.model.ModelSpec;
import dev.lithe.proto.v1.FinishReason;
import dev.lithe.proto.v1.GenerationFinish;
import dev.lithe.proto.v1.GenerationStart;
import dev.lithe.proto.v1.Timings;
import dev.lithe.proto.v1.Usage;
import dev.lithe.proto.v1.Variant;
import dev.lithe.proto.v1.VariantReason;
import dev.lithe.route.Route;
import dev.lithe.route.Router;

/// The engine's terms to the wire.
final class Responses {
    private Responses() {}

    static GenerationStart start(String requestId, Route route, int promptTokens, long seed) {
        return GenerationStart.newBuilder()
                .setRequestId(requestId)
                .setVariant(route.variant().name())
                .setVariantReason(reason(route.reason()))
                .setPromptTokens(promptTokens)
                .setSeed(seed)
                .build();
    }

    static GenerationFinish finish(Finish finish) {
        return GenerationFinish.newBuilder()
                .setFinishReason(reason(finish.reason()))
                .setStopString(finish.stopString().orElse(""))
                .setUsage(
                        Usage.newBuilder()
                                .setPromptTokens(finish.promptTokens())
                                .setOutputTokens(finish.outputTokens()))
                .setTimings(
                        Timings.newBuilder()
                                .setQueueMs(finish.queueMillis())
                                .setTimeToFirstTokenMs(finish.firstTokenMillis())
                                .setDecodeMs(finish.decodeMillis()))
                .build();
    }

    static dev.lithe.proto.v1.TokenLogprobs logprobs(TokenLogprobs token) {
        var message =
                dev.lithe.proto.v1.TokenLogprobs.newBuilder()
                        .setTokenId(token.id())
                        .setLogprob(token.logprob())
                        .setRank(token.rank());
        token.top()
                .forEach(each ->
                        message.addTopBuilder().setTokenId(each.id()).setLogprob(each.logprob()));
        return message.build();
    }

    static Variant variant(dev.lithe.route.Variant variant, Router router) {
        ModelSpec spec = variant.model().decoder().spec();
        var folder = variant.folder().getFileName();
        return Variant.newBuilder()
                .setName(variant.name())
                .setFolder(folder == null ? "" : folder.toString())
                .setArchitecture(spec.architecture())
                .setMemoryBytes(variant.memoryBytes())
                .setMaxPositions(spec.longestText())
                .setVocabularySize(spec.vocabSize())
                .setLayers(spec.layers())
                .setWeight(router.share(variant.name()))
                .putAllKernels(variant.model().decoder().kernels())
                .build();
    }

    private static VariantReason reason(Route.Reason reason) {
        return switch (reason) {
            case OVERRIDE_FIELD -> VariantReason.VARIANT_REASON_OVERRIDE_FIELD;
            case OVERRIDE_METADATA -> VariantReason.VARIANT_REASON_OVERRIDE_METADATA;
            case WEIGHT -> VariantReason.VARIANT_REASON_WEIGHT;
            case STICKY -> VariantReason.VARIANT_REASON_STICKY;
            case ONLY -> VariantReason.VARIANT_REASON_ONLY;
        };
    }

    private static FinishReason reason(dev.lithe.engine.FinishReason reason) {
        return switch (reason) {
            case STOP_TOKEN -> FinishReason.FINISH_REASON_STOP_TOKEN;
            case STOP_STRING -> FinishReason.FINISH_REASON_STOP_STRING;
            case LENGTH -> FinishReason.FINISH_REASON_LENGTH;
        };
    }
}
