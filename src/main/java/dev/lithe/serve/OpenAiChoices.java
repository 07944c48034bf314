package dev.lithe.serve;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.Ticket;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.route.Route;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/// The choices of one completion on their way through the engine, all at the same time; answered
/// together, or as events. The first that fails ends all. Sends are in turn, whichever thread they
/// come from.
final class OpenAiChoices {
    private final HttpCall call;
    private final OpenAiRequest request;
    private final Route route;
    private final OpenAiAnswer answer;
    private final List<Ticket> tickets = new ArrayList<>();
    private final List<@Nullable ObjectNode> whole = new ArrayList<>();
    private int promptTokens;
    private int outputTokens;
    private int open;
    private boolean over;

    OpenAiChoices(HttpCall call, OpenAiRequest request, Route route) {
        this.call = call;
        this.request = request;
        this.route = route;
        this.answer = OpenAiAnswer.of(request.chat());
    }

    void submit(Generations generations, List<GenerationInput> inputs) {
        open = inputs.size();
        inputs.forEach(_ -> whole.add(null));
        for (int i = 0; i < inputs.size(); i++) {
            Ticket ticket;
            try {
                ticket =
                        generations.submit(
                                inputs.get(i),
                                route,
                                call.choice(),
                                OptionalLong.empty(),
                                new Choice(i));
            } catch (RuntimeException e) {
                fail(e);
                return;
            }
            synchronized (this) {
                tickets.add(ticket);
            }
        }
        call.runs(this::cancel);
        if (over()) {
            cancel();
        }
    }

    private synchronized boolean over() {
        return over;
    }

    private synchronized void cancel() {
        tickets.forEach(Ticket::cancel);
    }

    private synchronized void fail(RuntimeException error) {
        if (!over) {
            over = true;
            call.fail(error);
            cancel();
        }
    }

    private synchronized void send(ObjectNode choice) {
        if (over) {
            return;
        }
        ObjectNode event = answer.root(route.variant().name(), true);
        event.withArray("choices").add(choice);
        if (request.includeUsage()) {
            event.putNull("usage");
        }
        call.event(event.toString());
    }

    private synchronized void started(int tokens) {
        promptTokens += tokens;
    }

    private synchronized void finished(int index, ObjectNode choice, Finish finish) {
        outputTokens += finish.outputTokens();
        whole.set(index, choice);
        open--;
        if (request.stream()) {
            send(choice);
        }
        if (open == 0 && !over) {
            over = true;
            end();
        }
    }

    private void end() {
        ObjectNode root = answer.root(route.variant().name(), request.stream());
        if (!request.stream()) {
            ArrayNode choices = root.withArray("choices");
            whole.forEach(choices::add);
            root.set("usage", OpenAiAnswer.usage(promptTokens, outputTokens));
            call.answer(root);
            return;
        }
        if (request.includeUsage()) {
            root.set("usage", OpenAiAnswer.usage(promptTokens, outputTokens));
            call.event(root.toString());
        }
        call.done();
    }

    /// Hears of one choice.
    private final class Choice implements GenerationListener {
        private final int index;
        private final StringBuilder text = new StringBuilder();
        private final List<TokenLogprobs> logprobs = new ArrayList<>();

        private Choice(int index) {
            this.index = index;
        }

        @Override
        public boolean ready() {
            return !request.stream() || call.ready();
        }

        @Override
        public void onStart(int tokens, long seed) {
            started(tokens);
            if (request.stream() && request.chat()) {
                send(answer.piece(index, "", true));
            }
        }

        @Override
        public void onLogprobs(TokenLogprobs token) {
            logprobs.add(token);
        }

        @Override
        public void onDelta(String delta, List<Integer> ids) {
            if (!request.stream()) {
                text.append(delta);
            } else if (!delta.isEmpty()) {
                send(withLogprobs(answer.piece(index, delta, false)));
                logprobs.clear();
            }
        }

        private ObjectNode withLogprobs(ObjectNode choice) {
            if (!logprobs.isEmpty()) {
                var tokenizer = route.variant().model().tokenizer();
                choice.set("logprobs", answer.logprobs(logprobs, tokenizer));
            }
            return choice;
        }

        @Override
        public void onFinish(Finish finish) {
            ObjectNode choice =
                    request.stream()
                            ? answer.piece(index, null, false)
                            : answer.whole(index, text.toString());
            String reason = OpenAiAnswer.reason(finish.reason());
            finished(index, withLogprobs(choice).put("finish_reason", reason), finish);
        }

        @Override
        public void onError(LitheException error) {
            fail(error);
        }
    }
}
