package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// The running sequences of one model. A step decodes one token for each that has read its prompt,
/// all together, or reads one slice of the prompts of the others. Belongs to the engine's thread.
final class Lane implements Scheduler.Work, AutoCloseable {
    private final CacheMemory memory;
    private final Backlog backlog;
    private final AtomicLong tokens;
    private final List<Sequence> running = new ArrayList<>();
    private final Decoding decoding;
    private final Prefill prefill;

    /// Slices of prompts since the last decode step.
    private int slices;

    /// Decode steps without company after which a sequence counts as alone.
    private static final int LONELY = 32;

    /// When last two sequences had work.
    private long company = System.nanoTime();

    /// The shortest decode step so far: what was measured at first may have been on a busy machine.
    private double fastestStep;

    /// Most tokens that a step gives a sequence.
    private final int tokensPerStep;

    /// @param tokens counts those computed
    Lane(
            ServedModel model,
            EngineLimits limits,
            CacheMemory memory,
            Backlog backlog,
            AtomicLong tokens,
            @Nullable Drafting drafting) {
        this.memory = memory;
        this.backlog = backlog;
        this.tokens = tokens;
        this.tokensPerStep = drafting == null ? 1 : 1 + drafting.length().most();
        this.decoding =
                drafting == null
                        ? new Decoding(model.decoder(), this)
                        : new Decoding(
                                model.decoder(),
                                this,
                                drafting.length(),
                                new Drafter(drafting.draft(), memory));
        this.prefill =
                new Prefill(
                        model.decoder(),
                        Pace.measure(model.decoder(), limits.prefillChunk()),
                        this);
        this.fastestStep = prefill.pace().stepNanos();
    }

    /// Who guesses for it, and how much.
    record Drafting(ServedModel draft, DraftLength length) {}

    /// Its sequences, in the order of arrival.
    List<Sequence> running() {
        return running;
    }

    /// Starts a sequence; one that cannot start, or not be done in time, ends.
    void admit(Sequence sequence) {
        running.add(sequence);
        guarded(
                sequence,
                () -> {
                    sequence.start(memory);
                    double pace = fastestStep / prefill.pace().stepNanos();
                    sequence.requireTime(prefill.pace(), pace, tokensPerStep);
                    return false;
                });
    }

    /// Ends one that nobody waits for, so that one that somebody waits for has its place and
    /// memory.
    ///
    /// @return whether there was one
    boolean makeWay() {
        Optional<Sequence> last =
                running.stream().filter(Sequence::inBackground).reduce((_, next) -> next);
        last.ifPresent(sequence ->
                end(
                        sequence,
                        LitheException.of(
                                Fault.EXHAUSTED,
                                "ended after %d tokens for a request that somebody waits for",
                                sequence.request().tokens() - sequence.left()),
                        false));
        return last.isPresent();
    }

    /// Ends those that must not go on.
    void dropWithdrawn() {
        for (Sequence sequence : List.copyOf(running)) {
            sequence.withdrawn().ifPresent(reason -> end(sequence, reason, true));
        }
        decoding.keepOnly(running);
        prefill.dropAbandoned();
    }

    /// Whether any sequence can take a token.
    @Override
    public boolean ready() {
        boolean ready = false;
        for (Sequence sequence : running) {
            ready |= sequence.ready();
        }
        return ready;
    }

    /// Decodes a token for all that have read their prompts, or reads a slice of the others', in
    /// turn. A prompt that is read in one slice need not wait for a decode step first.
    @Override
    public void step() {
        List<Sequence> ready = running.stream().filter(Sequence::ready).toList();
        List<Sequence> decoders = ready.stream().filter(Sequence::decoding).toList();
        List<Sequence> readers = ready.stream().filter(each -> !each.decoding()).toList();
        int allowed = prefill.quick(readers) ? 2 : 1;
        if (readers.isEmpty() || !decoders.isEmpty() && slices >= allowed) {
            slices = 0;
            decode(decoders);
        } else {
            slices++;
            prefill.step(readers, alone(ready) ? Pace.ALONE : Pace.BESIDE);
        }
        decoding.keepOnly(running);
    }

    private void decode(List<Sequence> sequences) {
        long before = tokens.get();
        long start = System.nanoTime();
        decoding.step(sequences);
        if (tokens.get() > before) {
            fastestStep = Math.min(fastestStep, System.nanoTime() - start);
        }
    }

    private boolean alone(List<Sequence> ready) {
        long now = System.nanoTime();
        if (ready.size() > 1) {
            company = now;
        }
        return now - company > LONELY * prefill.pace().stepNanos();
    }

    /// Hands each sequence the token that follows from its row of `logits` (B, V).
    void deliver(List<Sequence> sequences, Value logits) {
        deliver(sequences, new int[sequences.size()][0], logits);
    }

    /// Hands each sequence the token that follows from the first of its rows of `logits`, and as
    /// long as that is what was guessed those from the next ones.
    ///
    /// @param drafts guesses of each sequence
    /// @param logits of each sequence a row more than guesses, side by side
    /// @return how many tokens each sequence got
    int[] deliver(List<Sequence> sequences, int[][] drafts, Value logits) {
        int rows = sequences.size() + Stream.of(drafts).mapToInt(draft -> draft.length).sum();
        var choices = new Choices(rows, logits);
        int[] given = new int[drafts.length];
        int first = 0;
        for (int i = 0; i < drafts.length; i++) {
            Sequence sequence = sequences.get(i);
            boolean right = true;
            for (int j = 0; right && j <= drafts[i].length && !sequence.over(); j++) {
                int row = first + j;
                tokens.incrementAndGet();
                given[i]++;
                guarded(
                        sequence,
                        () -> {
                            int id = choices.of(row, sequence.greedy(), sequence::choose);
                            return sequence.accept(id);
                        });
                right = j < drafts[i].length && !sequence.over() && drafts[i][j] == sequence.last();
            }
            first += 1 + drafts[i].length;
            if (!sequence.over()) {
                sequence.rewind();
            }
        }
        return given;
    }

    @FunctionalInterface
    private interface Work {
        boolean isLast();
    }

    /// Runs one piece of a sequence's work, and ends the sequence if that was the last or fails.
    private void guarded(Sequence sequence, Work work) {
        try {
            if (work.isLast()) {
                running.remove(sequence);
                backlog.served(System.nanoTime() - sequence.admitted());
                sequence.release(memory, true);
            }
        } catch (LitheException e) {
            end(sequence, e, false);
        } catch (RuntimeException | OutOfMemoryError e) {
            fail(sequence, e);
        }
    }

    /// Ends a sequence that broke.
    void fail(Sequence sequence, Throwable error) {
        LitheException reason =
                error instanceof LitheException known
                        ? known
                        : LitheException.internal("the request failed: " + error, error);
        end(sequence, reason, false);
    }

    private void end(Sequence sequence, LitheException reason, boolean keep) {
        running.remove(sequence);
        sequence.release(memory, keep);
        sequence.fail(reason);
    }

    /// Ends all.
    void endAll(LitheException reason) {
        for (Sequence sequence : List.copyOf(running)) {
            end(sequence, reason, false);
        }
        close();
    }

    @Override
    public void close() {
        decoding.close();
        prefill.close();
    }
}
