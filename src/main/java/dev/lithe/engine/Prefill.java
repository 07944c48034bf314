package dev.lithe.engine;

import dev.lithe.model.Decoder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads prompts, one slice of one pass per step: some blocks of a chunk of a long prompt, or of
/// several short prompts side by side. The shortest rest goes first, so a short prompt overtakes a
/// long one that is under way; one that was passed over [#PATIENCE] times goes next all the same.
final class Prefill implements AutoCloseable {
    private static final int PATIENCE = 3;

    private final Decoder decoder;
    private final Pace pace;
    private final Lane lane;
    private final List<PrefillPass> passes = new ArrayList<>();

    Prefill(Decoder decoder, Pace pace, Lane lane) {
        this.decoder = decoder;
        this.pace = pace;
        this.lane = lane;
    }

    Pace pace() {
        return pace;
    }

    /// One slice, if there is anything to read.
    ///
    /// @param sequences those with tokens to read whose listeners can take one
    /// @param steps that the slice may take
    void step(List<Sequence> sequences, double steps) {
        dropAbandoned();
        List<Sequence> idle =
                sequences.stream()
                        .filter(each -> passes.stream().noneMatch(pass -> pass.reads(each)))
                        .sorted(Comparator.comparingInt(Prefill::priority))
                        .toList();
        PrefillPass next =
                passes.stream().min(Comparator.comparingInt(PrefillPass::priority)).orElse(null);
        if (!idle.isEmpty() && (next == null || priority(idle.getFirst()) < next.priority())) {
            next = begin(idle, steps);
        }
        if (next != null) {
            sequences.forEach(Sequence::passOver);
            next.members().forEach(Sequence::takeTurn);
            advance(next, steps);
        }
    }

    /// Whether one of `sequences` has so little to read that a single slice is enough.
    boolean quick(List<Sequence> sequences) {
        return sequences.stream().anyMatch(each -> pace.atOnce(each.unread(), each.read()));
    }

    /// What has the least goes first: the tokens that are left, or for one that lost patience less
    /// than any number of tokens.
    static int priority(Sequence sequence) {
        return sequence.passedOver() < PATIENCE ? sequence.unread() : -sequence.passedOver();
    }

    /// A pass of the first of `idle`, and of those after it that fit beside it whole.
    private @Nullable PrefillPass begin(List<Sequence> idle, double steps) {
        List<Sequence> members = new ArrayList<>();
        int chunk = pace.chunk(idle.getFirst().read(), steps);
        int tokens = 0;
        for (Sequence each : idle) {
            if (!members.isEmpty() && tokens + each.unread() > chunk) {
                break;
            }
            members.add(each);
            tokens += each.unread();
        }
        try {
            var pass = new PrefillPass(decoder, members, chunk);
            passes.add(pass);
            return pass;
        } catch (RuntimeException | OutOfMemoryError e) {
            members.forEach(each -> lane.fail(each, e));
            return null;
        }
    }

    private void advance(PrefillPass pass, double steps) {
        try {
            if (pass.advance(pace, steps)) {
                passes.remove(pass);
                try (pass) {
                    pass.deliver(lane);
                }
            }
        } catch (RuntimeException | OutOfMemoryError e) {
            passes.remove(pass);
            pass.close();
            // One of several may be at fault: each gets a pass of its own.
            if (pass.members().size() == 1) {
                lane.fail(pass.members().getFirst(), e);
            } else {
                pass.members().stream()
                        .filter(each -> !each.over())
                        .forEach(each -> begin(List.of(each), steps));
            }
        }
    }

    /// Lets go of what ended sequences held.
    void dropAbandoned() {
        passes.removeIf(pass -> {
            boolean abandoned = pass.abandoned();
            if (abandoned) {
                pass.close();
            }
            return abandoned;
        });
    }

    @Override
    public void close() {
        passes.forEach(PrefillPass::close);
        passes.clear();
    }
}
