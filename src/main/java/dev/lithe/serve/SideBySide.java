package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.Ticket;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.CompareRequest;
import dev.lithe.proto.v1.CompareResponse;
import dev.lithe.proto.v1.CompareSummary;
import dev.lithe.proto.v1.GenerationDelta;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.route.Route;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/// One `Compare`: several variants continue the same input, and what each says goes out as it
/// comes. Sends are in turn, whichever thread they come from.
final class SideBySide {
    private static final int MAX_VARIANTS = 8;

    private final Call<CompareResponse> call;
    private final GenerationInput input;
    private final List<String> variants;

    /// What each variant has said; none once it failed.
    private final SequencedMap<String, List<Integer>> tokens = new LinkedHashMap<>();

    private int open;

    SideBySide(Call<CompareResponse> call, CompareRequest request, Router router) {
        this.call = call;
        this.input = request.getInput();
        this.variants =
                request.getVariantsList().isEmpty()
                        ? router.variants().stream().map(Variant::name).toList()
                        : List.copyOf(request.getVariantsList());
        if (variants.size() > MAX_VARIANTS) {
            throw LitheException.badField(
                    "variants", "%d of them; name at most %d", variants.size(), MAX_VARIANTS);
        }
        if (variants.stream().distinct().count() < variants.size()) {
            throw LitheException.badField("variants", "one is named twice; name each once");
        }
        if (!input.getVariant().isEmpty()) {
            throw LitheException.badField(
                    "variant", "is set; leave it empty and name variants beside the input");
        }
        variants.forEach(router::variant);
        call.admitFurther(variants.size() - 1);
        this.open = variants.size();
    }

    void submit(Generations generations) {
        List<Ticket> tickets = new ArrayList<>();
        for (String variant : variants) {
            GenerationInput one = input.toBuilder().setVariant(variant).build();
            synchronized (this) {
                tokens.put(variant, new ArrayList<>());
            }
            try {
                tickets.add(
                        generations.submit(
                                one, call.choice(), call.deadline(), route -> new Side(route)));
            } catch (RuntimeException e) {
                failed(variant, e);
            }
        }
        call.runs(() -> tickets.forEach(Ticket::cancel));
    }

    private synchronized void send(CompareResponse.Builder event) {
        call.send(event.build());
    }

    private static CompareResponse.Builder event(String variant) {
        return CompareResponse.newBuilder().setVariant(variant);
    }

    private synchronized void failed(String variant, RuntimeException error) {
        tokens.remove(variant);
        var status = StatusProto.fromThrowable(Statuses.of(error));
        last(event(variant).setError(status));
    }

    private synchronized void last(CompareResponse.Builder event) {
        send(event);
        open--;
        if (open == 0) {
            call.answer(CompareResponse.newBuilder().setSummary(summary()).build());
        }
    }

    private CompareSummary summary() {
        var summary = CompareSummary.newBuilder();
        List<Integer> base = tokens.get(variants.getFirst());
        if (base != null) {
            tokens.forEach((variant, said) -> {
                if (!variant.equals(variants.getFirst())) {
                    summary.addAgreementsBuilder()
                            .setVariant(variant)
                            .setSameTokens(same(base, said))
                            .setIdentical(base.equals(said));
                }
            });
        }
        return summary.build();
    }

    private static int same(List<Integer> a, List<Integer> b) {
        int same = 0;
        while (same < Math.min(a.size(), b.size()) && a.get(same).equals(b.get(same))) {
            same++;
        }
        return same;
    }

    /// Hears of one variant.
    private final class Side implements GenerationListener {
        private final Route route;
        private final String variant;
        private final List<TokenLogprobs> logprobs = new ArrayList<>();

        private Side(Route route) {
            this.route = route;
            this.variant = route.variant().name();
        }

        @Override
        public boolean ready() {
            return call.ready();
        }

        @Override
        public void onStart(int promptTokens, long seed) {
            var start = Responses.start(input.getRequestId(), route, promptTokens, seed);
            send(event(variant).setStart(start));
        }

        @Override
        public void onLogprobs(TokenLogprobs token) {
            logprobs.add(token);
        }

        @Override
        public void onDelta(String text, List<Integer> ids) {
            var delta = GenerationDelta.newBuilder().setText(text).addAllTokenIds(ids);
            logprobs.forEach(each -> delta.addLogprobs(Responses.logprobs(each)));
            logprobs.clear();
            synchronized (SideBySide.this) {
                tokens.getOrDefault(variant, new ArrayList<>()).addAll(ids);
            }
            send(event(variant).setDelta(delta));
        }

        @Override
        public void onFinish(Finish finish) {
            last(event(variant).setFinish(Responses.finish(finish)));
        }

        @Override
        public void onError(LitheException error) {
            failed(variant, error);
        }
    }
}
