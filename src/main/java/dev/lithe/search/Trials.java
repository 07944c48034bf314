package dev.lithe.search;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.FolderLock;
import dev.lithe.checkpoint.Sha256;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.Recipe;
import dev.lithe.evaluate.BriefScore;
import dev.lithe.evaluate.Latency;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.ProgressListener;
import dev.lithe.evaluate.Subject;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Carries recipes out and measures what they wrote. What was found stays ([Found]), and so does
/// what recipes share as their beginning, in a folder: neither is done again.
final class Trials implements AutoCloseable {
    private static final double NANOS_PER_SECOND = 1e9;
    private static final Compressor.Listener SILENT = (_, _, _) -> {};
    private static final int LATENCY_PAIRS = 5;
    private static final int LATENCY_TOKENS = 32;

    private final Request request;
    private final Checkpoint source;
    private final Decoder original;
    private final HeldOut heldOut;
    private final Found found;
    private final FolderLock lock;
    private final Workers workers;
    private double seconds;

    private Trials(
            Request request,
            Checkpoint source,
            Decoder original,
            HeldOut heldOut,
            Found found,
            FolderLock lock) {
        this.lock = lock;
        this.request = request;
        this.workers = request.workers();
        this.source = source;
        this.original = original;
        this.heldOut = heldOut;
        this.found = found;
    }

    /// Trials for `request`; those of an earlier search of the same kind in its folder are known.
    ///
    /// @throws LitheException where the folder holds something else, or another search is in it
    static Trials open(Request request) {
        Path folder = request.workers().own(request.folder());
        List<AutoCloseable> opened = new ArrayList<>();
        try {
            Files.createDirectories(folder);
            FolderLock lock = FolderLock.take(folder);
            opened.add(lock);
            request.workers().requireTogether(request.folder());
            Checkpoint source = Checkpoint.open(request.model());
            opened.add(source);
            JsonNode origin = request.origin(source);
            Found found = Found.open(request.folder(), request.workers(), origin);
            opened.add(found);
            Decoder original = Decoder.open(request.model(), request.options().device());
            opened.add(original);
            HeldOut heldOut = HeldOut.of(request.calibrationText(), folder, request.model());
            return new Trials(request, source, original, heldOut, found, lock);
        } catch (IOException e) {
            opened.reversed().forEach(Trials::release);
            throw LitheException.badInput("%s: cannot be written: %s", folder, e.getMessage())
                    .causedBy(e);
        } catch (RuntimeException e) {
            opened.reversed().forEach(Trials::release);
            throw e;
        }
    }

    private static void release(AutoCloseable each) {
        try {
            each.close();
        } catch (Exception e) {
            throw LitheException.internal("the search cannot be closed", e);
        }
    }

    /// Seconds that the trials asked for took, as the journal has them: a search that goes on comes
    /// by the same sums as the one that was stopped.
    double seconds() {
        return seconds;
    }

    /// Whether [Rung#FULL] sees at least twice as much of the text as [Rung#SCREEN].
    boolean deepens() {
        return heldOut.ids().length >= 2 * Rung.SCREEN.tokens();
    }

    Checkpoint source() {
        return source;
    }

    /// Makes what these come to known: each worker tries its share, and waits for the others'. One
    /// alone tries each when it is asked for.
    ///
    /// @param waits hears of a worker from which nothing has come for a while
    void prepare(List<Proposal> proposals, Rung rung, IntConsumer waits) {
        if (workers.alone()) {
            return;
        }
        for (int i = 0; i < proposals.size(); i++) {
            if (workers.makes(i)) {
                make(proposals.get(i), rung);
            }
        }
        for (int i = 0; i < proposals.size(); i++) {
            Proposal each = proposals.get(i);
            int worker = workers.of(i);
            found.await(name(each, rung), () -> !isGone(each, rung), () -> waits.accept(worker));
        }
    }

    /// What `proposal` comes to, tried as `rung` says, now or earlier.
    Outcome of(Proposal proposal, Rung rung) {
        Outcome outcome = make(proposal, rung);
        seconds += outcome.seconds();
        return outcome;
    }

    private Outcome make(Proposal proposal, Rung rung) {
        String name = name(proposal, rung);
        Outcome outcome = found.get(name);
        if (outcome == null) {
            outcome = attempt(proposal, rung);
            found.add(name, proposal, outcome);
        } else if (isGone(proposal, rung)) {
            Outcome _ = attempt(proposal, rung);
        }
        return outcome;
    }

    /// Whether somebody removed the report of a finalist that was measured.
    private boolean isGone(Proposal proposal, Rung rung) {
        Outcome outcome = found.get(name(proposal, rung));
        return rung == Rung.FINAL
                && outcome != null
                && outcome.worked()
                && !Files.exists(folder(proposal).resolve(ReportFolder.JSON));
    }

    private Outcome attempt(Proposal proposal, Rung rung) {
        long start = System.nanoTime();
        try {
            return rung == Rung.FINAL ? measured(proposal, start) : scored(proposal, rung, start);
        } catch (LitheException e) {
            if (e.fault() == Fault.EXHAUSTED
                    || e.fault() == Fault.CANCELLED
                    || e.getCause() instanceof IOException) {
                throw e; // no fault of the recipe: a full disk would fail any other too
            }
            return Outcome.failed(since(start), e.getMessage());
        }
    }

    private static double since(long start) {
        return (System.nanoTime() - start) / NANOS_PER_SECOND;
    }

    private static String name(Proposal proposal, Rung rung) {
        byte[] key = proposal.key().getBytes(StandardCharsets.UTF_8);
        return rung.label() + " " + Sha256.of(key).substring(0, 16);
    }

    private Path own() {
        return workers.own(request.folder());
    }

    private void compress(Recipe recipe, Path text, Rung rung, Path output) {
        var options = new CalibrationOptions(text.toString(), rung.samples(), null, 0);
        Recipe calibrated = recipe.with(options);
        new Pipeline(
                        calibrated,
                        source,
                        (folder, spec) -> CalibrationSet.draw(text, options, folder, spec),
                        (_, _, _) -> SILENT)
                .run(output, true, own().resolve("shared"));
    }

    private Outcome scored(Proposal proposal, Rung rung, long start) {
        Path made = own().resolve("trial");
        compress(proposal.recipe(), heldOut.calibration(), rung, made);
        try (Decoder decoder = Decoder.open(made, request.options().device())) {
            var windows = heldOut.windows(rung.tokens(), original.spec());
            var score = BriefScore.of(original, decoder, windows);
            return new Outcome(
                    ModelSize.of(made).weightBytes(),
                    score.klDivergence(),
                    score.perplexityRatio(),
                    request.goal().timed() ? speedup(decoder) : null,
                    since(start),
                    null);
        }
    }

    private Double speedup(Decoder decoder) {
        List<Subject> subjects =
                List.of(new Subject("original", original), new Subject("candidate", decoder));
        var options = new LatencyOptions(LATENCY_PAIRS, LATENCY_TOKENS, LATENCY_TOKENS, 0);
        Latency.Result times =
                Latency.measure(
                        subjects,
                        List.of(heldOut.ids(), heldOut.ids()),
                        options,
                        ProgressListener.NONE);
        return 1 / times.models().getLast().perTokenRatio(times.models().getFirst(), 0).value();
    }

    /// Where the model that `proposal` makes stays, with its report.
    Path folder(Proposal proposal) {
        String name = name(proposal, Rung.FINAL).replaceFirst(".* ", "");
        return request.folder().resolve("finalists").resolve(name);
    }

    /// The report of a finalist that [#of] measured.
    Report report(Proposal proposal) {
        return ReportFolder.read(folder(proposal));
    }

    private Outcome measured(Proposal proposal, long start) {
        Path made = folder(proposal);
        compress(proposal.recipe(), request.calibrationText(), Rung.FINAL, made);
        Candidate base = Candidate.of("original", request.modelName(), request.model());
        Candidate candidate =
                Candidate.of("compressed", made.toString(), made).madeIn(since(start));
        MeasureOptions options = request.options();
        Report report =
                Measurement.measure(base, List.of(candidate), options, ProgressListener.NONE);
        ReportFolder.write(report, made);
        return outcome(report.compressed().getFirst(), since(start));
    }

    private static Outcome outcome(Report.Variant variant, double seconds) {
        Report.Ratios ratios = variant.ratios();
        Report.Divergence divergence = variant.klDivergence();
        Report.Ratio perplexity = ratios == null ? null : ratios.perplexity();
        if (ratios == null || perplexity == null || divergence == null) {
            throw LitheException.of(Fault.INTERNAL, "the finalist was not compared");
        }
        Report.@Nullable Ratio time = ratios.tpot();
        return new Outcome(
                variant.bytesOnDisk(),
                divergence.mean(),
                perplexity.value(),
                time == null ? null : Double.valueOf(1 / time.value()),
                seconds,
                null);
    }

    @Override
    public void close() {
        Pipeline.delete(own().resolve("trial"));
        List.of(found, original, source, lock).forEach(Trials::release);
    }
}
