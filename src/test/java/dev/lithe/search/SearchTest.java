package dev.lithe.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.FolderLock;
import dev.lithe.compress.RecipeParser;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.Scoring;
import dev.lithe.fault.LitheException;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.ReportFolder;
import dev.lithe.search.Goal.Preference;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SearchTest {
    private static final int TRIALS = 8;
    private static final String SPACE =
            """
            shape: [{}, {width_prune: {ffn: 0.25, multiple_of: 32}}]
            heal: [{}]
            prepare: [{}, {rotate: {}}]
            quantizer: [{}, {rtn: {}}, {gptq: {}}, {nf4: {}}]
            width:
              - {share: 1, bits: [2, 3, 4, 5, 6], group_sizes: [32]}
              - {share: 0.9, bits: [2, 3, 4, 5, 6], group_sizes: [32]}
              - {bits: 5, group_size: 32}
              - {bits: 4, group_size: 32}
              - {bits: 3, group_size: 32}
            scope: [{targets: ["re:.*"], ignore: []}, {ignore: []}]
            rest: [{}, {rtn: {bits: 8, group_size: 0, targets: [lm_head, model.embed_tokens]}}]
            """;

    private static class Stopped extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    @TempDir private static Path folder;

    private static Path model;
    private static Path calibration;
    private static Path text;
    private static Path space;
    private static SearchResult whole;

    @BeforeAll
    static void search() throws IOException {
        model = TinyModel.small().width(64, 128).heads(4, 2, 16).write(folder.resolve("model"));
        calibration = Files.writeString(folder.resolve("calibration.txt"), words(5, 700));
        text = Files.writeString(folder.resolve("evaluation.txt"), words(6, 300));
        space = Files.writeString(folder.resolve("space.yaml"), SPACE);
        whole = run(request("whole", 0.2));
    }

    private static String words(long seed, int lines) {
        var random = new Random(seed);
        var words = new StringBuilder();
        for (int i = 0; i < lines; i++) {
            words.append((char) ('a' + random.nextInt(26))).append(" went to ");
            words.append(random.nextInt(1000)).append('\n');
        }
        return words.toString();
    }

    private static Request request(String to, double share) throws IOException {
        long bytes = (long) (share * ModelSize.of(model).weightBytes());
        return new Request(
                "tiny",
                model,
                new Goal(bytes, null, null, Preference.QUALITY),
                Double.POSITIVE_INFINITY,
                TRIALS,
                3,
                calibration,
                new MeasureOptions(
                        text, 64, 512, Scoring.ALL, 0, new LatencyOptions(0, 8, 8, 0), calibration),
                space,
                folder.resolve(to),
                Workers.ALONE);
    }

    private static SearchResult run(Request request) {
        return Search.run(request, (_, _, _, _, _) -> {});
    }

    @Test
    void aStoppedSearchEndsAsOneThatNobodyStopped() throws IOException {
        Request stopped = request("stopped", 0.2);
        int stops = 0;
        for (int after : List.of(2, 6, 11)) {
            int[] told = {0};
            try {
                Search.run(
                        stopped,
                        (_, _, _, _, _) -> {
                            if (++told[0] > after) {
                                throw new Stopped();
                            }
                        });
            } catch (Stopped _) {
                stops++;
                assertThat(stopped.folder().resolve("recipe.yaml")).exists();
            }
        }
        assertThat(stops).isEqualTo(3);
        SearchResult resumed = run(stopped);
        assertThat(keys(resumed)).isEqualTo(keys(whole));
        assertThat(resumed.winner().outcome().kl()).isEqualTo(whole.winner().outcome().kl());
        assertThat(trials(stopped)).isEqualTo(trials(request("whole", 0.2)));
        assertThat(stopped.folder().resolve("recipe.yaml"))
                .hasSameTextualContentAs(folder.resolve("whole/recipe.yaml"));
    }

    /// Three processes in one folder, here threads, find what one does; one of them is stopped and
    /// started again, and what they share lies in their journals together.
    @Test
    void workersFindTogetherWhatOneDoes() throws Exception {
        Request alone = request("together", 0.2);
        int count = 3;
        try (var pool = Executors.newFixedThreadPool(count)) {
            List<Future<SearchResult>> results = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                Request request = with(alone, new Workers(i, count));
                boolean stops = i == 1;
                results.add(
                        pool.submit(() -> {
                            if (stops) {
                                stopped(request, 3);
                            }
                            return run(request);
                        }));
            }
            for (Future<SearchResult> result : results) {
                assertThat(keys(result.get())).isEqualTo(keys(whole));
                assertThat(result.get().tried()).isEqualTo(TRIALS);
            }
        }
        assertThat(alone.folder().resolve("recipe.yaml"))
                .hasSameTextualContentAs(folder.resolve("whole/recipe.yaml"));
        Set<String> all = new HashSet<>();
        int made = 0;
        for (int i = 0; i < count; i++) {
            List<String> own = trials(new Workers(i, count).own(alone.folder()));
            assertThat(own).hasSizeGreaterThan(2);
            made += own.size() - 1;
            all.addAll(own);
        }
        assertThat(all).containsAll(trials(request("whole", 0.2)));
        assertThat(made).isEqualTo(all.size() - 1); // the first line, and nothing twice
        SearchResult again = run(alone);
        assertThat(keys(again)).isEqualTo(keys(whole));
        assertThat(trials(alone)).hasSize(1); // one alone knows what they found
    }

    private static Request with(Request request, Workers workers) {
        return new Request(
                request.modelName(),
                request.model(),
                request.goal(),
                request.seconds(),
                request.trials(),
                request.seed(),
                request.calibrationText(),
                request.options(),
                request.space(),
                request.folder(),
                workers);
    }

    private static void stopped(Request request, int after) {
        int[] told = {0};
        try {
            Search.run(
                    request,
                    (_, _, _, _, _) -> {
                        if (++told[0] > after) {
                            throw new Stopped();
                        }
                    });
            throw new AssertionError("it was not stopped");
        } catch (Stopped _) {
            assertThat(told[0]).isEqualTo(after + 1);
        }
    }

    @Test
    void aTimeThatIsOverEndsTheSameAgain() throws IOException {
        Request full = request("timed", 0.2);
        var request =
                new Request(
                        full.modelName(),
                        full.model(),
                        full.goal(),
                        0.5,
                        Integer.MAX_VALUE,
                        full.seed(),
                        full.calibrationText(),
                        full.options(),
                        full.space(),
                        full.folder(),
                        full.workers());
        SearchResult first = run(request);
        List<String> tried = trials(request);
        SearchResult again = run(request);
        assertThat(keys(again)).isEqualTo(keys(first));
        assertThat(again.seconds()).isEqualTo(first.seconds());
        assertThat(trials(request)).isEqualTo(tried);
    }

    private static List<String> keys(SearchResult result) {
        return result.finalists().stream().map(each -> each.proposal().key()).toList();
    }

    /// What was tried, in its order.
    private static List<String> trials(Request request) throws IOException {
        return trials(request.folder());
    }

    private static List<String> trials(Path folder) throws IOException {
        List<String> trials = new ArrayList<>();
        for (String line : Files.readAllLines(folder.resolve("journal.jsonl"))) {
            trials.add(line.replaceFirst("\"seconds\":[^,]*,", ""));
        }
        return trials;
    }

    @Test
    void theWinnerIsNoWorseThanAnySingleTechniqueAndItsRecipeMakesIt() throws IOException {
        Request request = request("whole", 0.2);
        SearchResult result = whole;
        Outcome winner = result.winner().outcome();
        assertThat(winner.bytes()).isLessThanOrEqualTo(request.goal().maxBytes());
        SearchResult.Finalist single = result.bestSingle();
        assertThat(single).isNotNull();
        assertThat(winner.kl()).isLessThan(single.outcome().kl());
        assertThat(result.front()).hasSizeGreaterThan(2).contains(result.winner());
        result.requireWithinLimits();
        assertThat(ModelSize.of(result.winner().folder()).weightBytes()).isEqualTo(winner.bytes());
        var recipe = RecipeParser.named(request.folder().resolve("recipe.yaml").toString());
        assertThat(recipe.summary()).isEqualTo(result.winner().proposal().recipe().summary());
        assertThat(recipe.calibration().text()).isEqualTo(calibration.toString());
        assertThat(ReportFolder.read(request.folder()).compressed())
                .hasSameSizeAs(result.finalists());
        assertThat(result.toJson().path("winner").path("bytes").asLong()).isEqualTo(winner.bytes());
        assertThat(result.table()).contains("* ", "winner     ", "single     ");
    }

    @Test
    void limitsThatNothingKeepsEndAtTheNearestPoint() throws IOException {
        SearchResult result = run(request("impossible", 0.01));
        assertThatThrownBy(result::requireWithinLimits)
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("no recipe keeps the limits; the nearest, ")
                .hasMessageContaining(" bytes (limit ");
        assertThat(result.finalists())
                .allMatch(each -> each.outcome().bytes() >= result.winner().outcome().bytes());
    }

    @Test
    void recipesThatWereNotThereAreBred() throws IOException {
        assertThat(whole.tried()).isEqualTo(TRIALS);
        List<String> seeds;
        try (var source = Checkpoint.open(model)) {
            seeds =
                    new Space(space, source, request("whole", 0.2).goal())
                            .seeds().stream().map(Proposal::key).toList();
        }
        long bred =
                Files.readAllLines(folder.resolve("whole/journal.jsonl")).stream()
                        .filter(line -> line.contains("\"screen "))
                        .filter(line -> seeds.stream().noneMatch(line::contains))
                        .count();
        assertThat(bred).isPositive();
    }

    @Test
    void aHealedShapeIsAmongTheFirst() throws IOException {
        String healing = SPACE.replace("heal: [{}]", "heal: [{}, {heal: {steps: 1}}]");
        Path file = Files.writeString(folder.resolve("healing.yaml"), healing);
        try (var source = Checkpoint.open(model)) {
            List<String> seeds = summaries(new Space(file, source, request("whole", 0.2).goal()));
            assertThat(seeds).contains("cast → width_prune → heal → bit_allocation → rtn");
            assertThat(seeds.getFirst()).isEqualTo("cast → rtn");
        }
    }

    @Test
    void whatSavesTimeOnlyIsTriedWhereTimeCounts() throws IOException {
        String sparse =
                SPACE.replace("shape: [{}, ", "shape: [{}, {moefy: {width: 32}}, ")
                        .replace("{nf4: {}}", "{activation_sparsity: {sparsity: 0.25}}");
        Path file = Files.writeString(folder.resolve("sparse.yaml"), sparse);
        try (var source = Checkpoint.open(model)) {
            var quality = new Goal(null, null, null, Preference.QUALITY);
            var speed = new Goal(null, null, 1.2, Preference.QUALITY);
            assertThat(summaries(new Space(file, source, quality)))
                    .noneMatch(each -> each.matches(".*(moefy|activation_sparsity).*"));
            assertThat(summaries(new Space(file, source, speed)))
                    .contains("cast → moefy", "cast → activation_sparsity")
                    .noneMatch(each -> each.contains("rtn → activation_sparsity"));
        }
    }

    private static List<String> summaries(Space space) {
        return space.seeds().stream().map(Proposal::summary).toList();
    }

    @Test
    void anotherSearchsFolderIsRefused() throws IOException {
        Request request = request("taken", 0.2);
        Files.createDirectories(request.folder());
        Files.writeString(request.folder().resolve("journal.jsonl"), "{\"seed\":1}\n");
        assertThatThrownBy(() -> run(request)).hasMessageContaining("another model");
    }

    @Test
    void aSearchInTheSameFolderIsRefused() throws IOException {
        Request request = request("shared", 0.2);
        assertThatThrownBy(() -> whileRunning(request, request))
                .hasMessageContaining("shared is being written by another run of Lithe");
    }

    @Test
    void workersAndOneAloneKeepOutOfEachOthersFolder() throws IOException {
        Request alone = request("apart", 0.2);
        Request worker = with(alone, new Workers(1, 2));
        assertThatThrownBy(() -> whileRunning(alone, worker))
                .hasMessageContaining("one search has this folder alone, and worker 1 of 2");
        Request other = request("apart-too", 0.2);
        Path worker0 = Files.createDirectories(new Workers(0, 2).own(other.folder()));
        try (FolderLock _ = FolderLock.take(worker0)) {
            assertThat(message(() -> run(other)))
                    .contains("apart-too: worker-0-of-2 searches there, and worker 0 of 1 cannot");
        }
    }

    /// The one that came first waits for its other, who never comes; what it tried is not lost.
    @Test
    void workersOfAnotherNumberKeepOutOfTheFolderAndUseWhatItHolds() throws Exception {
        Request one = with(request("numbers", 0.2), new Workers(0, 2));
        Path own = one.workers().own(one.folder());
        try (var pool = Executors.newSingleThreadExecutor()) {
            Future<SearchResult> waiting = pool.submit(() -> run(one));
            while (!Files.exists(own.resolve("journal.jsonl")) || trials(own).size() < 2) {
                assertThat(waiting.isDone()).isFalse();
                Thread.sleep(50);
            }
            assertThat(message(() -> run(with(one, new Workers(1, 3)))))
                    .contains("numbers: worker-0-of-2 searches there, and worker 1 of 3 cannot")
                    .contains("give all the same --workers")
                    .doesNotContain("\n");
            pool.shutdownNow();
            assertThatThrownBy(waiting::get).hasMessageContaining("interrupted");
        }
        String tried = trials(own).get(1);
        Request alone = with(one, Workers.ALONE);
        assertThat(keys(run(alone))).isEqualTo(keys(whole));
        assertThat(trials(alone)).doesNotContain(tried).hasSizeGreaterThan(1);
    }

    /// Starts `second` when `first` has tried a recipe, and fails with what that is told.
    private static void whileRunning(Request first, Request second) {
        Search.run(
                first,
                (_, _, _, _, _) -> {
                    throw LitheException.badInput("%s", message(() -> run(second)));
                });
    }

    /// Both find out; one makes it again, and the other waits for that.
    @Test
    void aReportThatWentIsMadeAgainByOneWorker() throws Exception {
        Request alone = request("again", 0.2);
        SearchResult before = run(alone);
        Path report = before.finalists().get(1).folder().resolve("report.json");
        Path kept = before.finalists().get(0).folder().resolve("report.json");
        var time = Files.getLastModifiedTime(kept);
        Files.delete(report);
        try (var pool = Executors.newFixedThreadPool(2)) {
            List<Future<SearchResult>> results = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                Request request = with(alone, new Workers(i, 2));
                results.add(pool.submit(() -> run(request)));
            }
            for (Future<SearchResult> result : results) {
                assertThat(keys(result.get())).isEqualTo(keys(before));
            }
        }
        assertThat(report).exists();
        assertThat(Files.getLastModifiedTime(kept)).isEqualTo(time);
        for (int i = 0; i < 2; i++) {
            assertThat(trials(new Workers(i, 2).own(alone.folder())))
                    .as("finalists measured anew")
                    .noneMatch(each -> each.contains("\"trial\":\"final"));
        }
    }

    private static String message(Runnable run) {
        try {
            run.run();
            return "";
        } catch (LitheException e) {
            return e.getMessage();
        }
    }

    @Test
    void aDiskThatTakesNothingIsNoFaultOfTheRecipe() throws IOException {
        Request request = request("full", 0.2);
        Files.createDirectories(request.folder());
        Files.writeString(request.folder().resolve("trial.partial"), "");
        assertThatThrownBy(() -> run(request)).isInstanceOf(LitheException.class);
        assertThat(trials(request)).hasSize(1);
    }

    @Test
    void ofWhatKeepsTheLimitsThePreferredIsFirst() {
        var goal = new Goal(100L, 1.1, null, Preference.BYTES);
        var small = new Outcome(50, 0.2, 1.05, null, 1, null);
        var good = new Outcome(90, 0.1, 1.01, null, 1, null);
        var large = new Outcome(101, 0.01, 1.0, null, 1, null);
        var bad = new Outcome(10, 0.9, 2.0, null, 1, null);
        assertThat(List.of(bad, large, good, small).stream().sorted(goal.order()))
                .containsExactly(small, good, large, bad);
        assertThat(Front.of(List.of(small, good, large, bad), Front::beats))
                .containsExactly(small, good, large, bad);
        var worse = new Outcome(51, 0.3, 1.05, null, 1, null);
        assertThat(Front.of(List.of(worse, small), Front::beats)).containsExactly(small);
    }
}
