package dev.lithe.search;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Report;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// Looks for the recipe that keeps some limits best.
///
/// 1. Single techniques and distributed budgets are screened: compressed with few calibration
///    windows and ranked by KL divergence on few held-out tokens; the best third is tried in full,
///    where the text is long enough for that to be more.
/// 2. Generations follow, by evolution: children of two recipes of the Pareto front of bytes and
///    divergence, or of the best, with a choice or two drawn anew, those that did well before more
///    often; screened, and the best third tried in full.
/// 3. Finalists (the best, the best single techniques, and the rest of the front, spread over its
///    sizes) are compressed with all of the calibration text and measured on the evaluation text.
///
/// What comes next depends on the seed and on what was found, never on the clock, but for when it
/// ends: by the sum of the seconds that trials took. All of that is in journals, so a search that
/// was stopped does the same again from there without doing the work again, and several processes
/// ([Workers]) do the same together.
public final class Search {
    private static final int GENERATION = 6;
    private static final int PROMOTED = 3;
    private static final int ATTEMPTS = 200;
    private static final int FINALISTS = 9;
    private static final int BEST = 3;
    private static final int SINGLES = 2;

    /// The rest of the time is for finalists.
    private static final double EXPLORING = 0.7;

    /// The share of that, in time or in recipes, that goes to what is tried first.
    private static final double SEEDING = 0.6;

    /// Hears of trials.
    public interface Listener {
        /// Recipe `number` was tried as `rung` says, and is the best so far where `best` is set.
        void tried(int number, String recipe, Rung rung, Outcome outcome, boolean best);

        /// Nothing has come from another worker for a while.
        default void waits(int worker) {}
    }

    /// A recipe that was tried.
    private static final class Tried {
        private final int number;
        private final Proposal proposal;
        private final Outcome screened;
        private @Nullable Outcome full;

        Tried(int number, Proposal proposal, Outcome screened) {
            this.number = number;
            this.proposal = proposal;
            this.screened = screened;
        }

        /// What is known best.
        Outcome outcome() {
            return full == null ? screened : full;
        }
    }

    private final Request request;
    private final Listener listener;
    private final Trials trials;
    private final Space space;
    private final SplittableRandom random;
    private final List<Tried> tried = new ArrayList<>();
    private final Set<String> seen = new HashSet<>();
    private @Nullable Outcome best;

    private Search(Request request, Trials trials, Listener listener) {
        this.request = request;
        this.trials = trials;
        this.listener = listener;
        this.space = new Space(request.space(), trials.source(), request.goal());
        this.random = new SplittableRandom(request.seed());
    }

    /// Searches, goes on where an earlier search of the same kind was stopped, and leaves
    /// `recipe.yaml`, finalists and `report.html` in the request's folder.
    ///
    /// @throws LitheException where nothing worked at all
    public static SearchResult run(Request request, Listener listener) {
        Space.require(request.space());
        try (Trials trials = Trials.open(request)) {
            return new Search(request, trials, listener).run();
        }
    }

    private SearchResult run() {
        promote(screen(space.seeds(), SEEDING));
        while (exploring(1)) {
            List<Tried> generation = screen(children(), 1);
            if (generation.isEmpty()) {
                break;
            }
            promote(generation);
        }
        return finish();
    }

    private List<Tried> screen(List<Proposal> proposals, double share) {
        List<Tried> batch = new ArrayList<>();
        for (List<Proposal> group : request.workers().groups(proposals)) {
            if (exploring(share)) {
                trials.prepare(group, Rung.SCREEN, listener::waits);
            }
            for (Proposal each : group) {
                if (exploring(share)) {
                    screen(each).ifPresent(batch::add);
                }
            }
        }
        return batch;
    }

    private boolean exploring(double share) {
        return seen.size() < share * request.trials()
                && trials.seconds() < share * EXPLORING * request.seconds();
    }

    private Optional<Tried> screen(Proposal proposal) {
        if (!seen.add(proposal.key())) {
            return Optional.empty();
        }
        int number = seen.size();
        Outcome outcome = trials.of(proposal, Rung.SCREEN);
        tell(number, proposal, Rung.SCREEN, outcome);
        if (!outcome.worked()) {
            return Optional.empty();
        }
        var result = new Tried(number, proposal, outcome);
        tried.add(result);
        return Optional.of(result);
    }

    private void tell(int number, Proposal proposal, Rung rung, Outcome outcome) {
        Comparator<Outcome> order = request.goal().order();
        boolean better = outcome.worked() && (best == null || order.compare(outcome, best) < 0);
        if (better) {
            best = outcome;
            if (request.workers().first()) {
                SearchFolder.writeRecipe(request, proposal, outcome, rung);
            }
        }
        listener.tried(number, proposal.summary(), rung, outcome, better);
    }

    private void promote(List<Tried> batch) {
        int count = (batch.size() + PROMOTED - 1) / PROMOTED;
        for (List<Tried> group : request.workers().groups(ranked(batch).subList(0, count))) {
            if (deepening()) {
                trials.prepare(proposals(group), Rung.FULL, listener::waits);
            }
            for (Tried each : group) {
                if (deepening()) {
                    Outcome outcome = trials.of(each.proposal, Rung.FULL);
                    tell(each.number, each.proposal, Rung.FULL, outcome);
                    each.full = outcome.worked() ? outcome : null;
                }
            }
        }
    }

    private boolean deepening() {
        return trials.deepens() && trials.seconds() < EXPLORING * request.seconds();
    }

    private static List<Proposal> proposals(List<Tried> some) {
        return some.stream().map(each -> each.proposal).toList();
    }

    private List<Tried> ranked(List<Tried> some) {
        return some.stream()
                .sorted(Comparator.comparing(Tried::outcome, request.goal().order()))
                .toList();
    }

    private List<Tried> front() {
        return Front.of(tried, (a, b) -> Front.beats(a.screened, b.screened)).stream()
                .sorted(Comparator.comparingLong(each -> each.screened.bytes()))
                .toList();
    }

    /// Of what is known by now, so that they can be tried at the same time.
    private List<Proposal> children() {
        List<Proposal> children = new ArrayList<>();
        Set<String> drawn = new HashSet<>(seen);
        for (int i = 0; i < GENERATION; i++) {
            child(drawn).filter(each -> drawn.add(each.key())).ifPresent(children::add);
        }
        return children;
    }

    private Optional<Proposal> child(Set<String> drawn) {
        List<Tried> parents = new ArrayList<>(front());
        List<Tried> ranked = ranked(tried);
        parents.addAll(ranked.subList(0, Math.min(GENERATION, ranked.size())));
        List<int[]> choices = ranked.stream().map(each -> each.proposal.choices()).toList();
        for (int attempt = 0; attempt < ATTEMPTS && !parents.isEmpty(); attempt++) {
            Proposal a = parents.get(random.nextInt(parents.size())).proposal;
            Proposal b = parents.get(random.nextInt(parents.size())).proposal;
            Optional<Proposal> child = space.child(a, b, choices, random);
            if (child.isPresent() && !drawn.contains(child.get().key())) {
                return child;
            }
        }
        return Optional.empty();
    }

    private List<Tried> finalists() {
        List<Tried> ranked = ranked(tried);
        List<Tried> singles =
                ranked.stream().filter(each -> each.proposal.single()).limit(SINGLES).toList();
        List<Tried> chosen = new ArrayList<>(ranked.subList(0, Math.min(1, ranked.size())));
        chosen.addAll(singles);
        chosen.addAll(ranked.subList(0, Math.min(BEST, ranked.size())));
        List<Tried> distinct = new ArrayList<>(chosen.stream().distinct().toList());
        List<Tried> others = front().stream().filter(each -> !distinct.contains(each)).toList();
        distinct.addAll(Front.spread(others, FINALISTS - distinct.size()));
        return distinct;
    }

    private SearchResult finish() {
        List<SearchResult.Finalist> finalists = new ArrayList<>();
        String trouble = "nothing was tried";
        int needed = 1 + SINGLES;
        for (List<Tried> group : request.workers().groups(finalists())) {
            if (finalists.size() < needed || trials.seconds() < request.seconds()) {
                trials.prepare(proposals(group), Rung.FINAL, listener::waits);
            }
            for (Tried each : group) {
                if (finalists.size() >= needed && trials.seconds() >= request.seconds()) {
                    break;
                }
                Outcome outcome = trials.of(each.proposal, Rung.FINAL);
                listener.tried(each.number, each.proposal.summary(), Rung.FINAL, outcome, false);
                if (outcome.worked()) {
                    Report report = trials.report(each.proposal);
                    finalists.add(
                            new SearchResult.Finalist(
                                    each.number,
                                    each.proposal,
                                    trials.folder(each.proposal),
                                    outcome,
                                    report));
                } else {
                    trouble = String.valueOf(outcome.trouble());
                }
            }
        }
        if (finalists.isEmpty()) {
            throw LitheException.of(
                    Fault.BAD_INPUT,
                    "no recipe of the search space could be carried out (%s); give more --budget, or"
                            + " another --space",
                    trouble);
        }
        var result = SearchResult.of(request.goal(), seen.size(), trials.seconds(), finalists);
        if (request.workers().first()) {
            SearchFolder.write(request, result);
        }
        return result;
    }
}
