package dev.lithe.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.engine.ServedModel;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class RouterTest {
    private static final long SEED = 5;
    private static ServedModel model;

    @BeforeAll
    static void load() {
        model = ServedModel.open(Path.of("src/main/resources/demo"));
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static Router router(Map<String, Double> weights, String... names) {
        List<Variant> variants =
                List.of(names).stream().map(name -> new Variant(name, model, 1)).toList();
        return new Router(variants, weights, new SplittableRandom(SEED));
    }

    @Test
    void namesGoFirst() {
        Router router = router(Map.of("b", 1.0), "a", "b");
        assertThat(router.route("a", "b", "").variant().name()).isEqualTo("a");
        assertThat(router.route("a", "b", "").reason()).isEqualTo(Route.Reason.OVERRIDE_FIELD);
        assertThat(router.route("", "a", "").variant().name()).isEqualTo("a");
        assertThat(router.route("", "a", "").reason()).isEqualTo(Route.Reason.OVERRIDE_METADATA);
        assertThat(router.route("", "", "").reason()).isEqualTo(Route.Reason.WEIGHT);
        assertThat(router(Map.of(), "a").route("", "", "").reason()).isEqualTo(Route.Reason.ONLY);
    }

    @Test
    void sharesFollowWeights() {
        int draws = 20_000;
        Router router = router(Map.of("a", 3.0, "c", 1.0), "a", "b", "c");
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < draws; i++) {
            counts.merge(router.route("", "", "").variant().name(), 1, Integer::sum);
        }
        assertThat(counts).as("seed %d", SEED).doesNotContainKey("b");
        assertThat(counts.get("a") / (double) draws).isCloseTo(0.75, within(0.02));
        assertThat(router.share("a")).isEqualTo(0.75);
        assertThat(router.share("b")).isZero();
        assertThat(router(Map.of(), "a", "b").share("b")).isEqualTo(0.5);
    }

    @Test
    void whoAnswersLessThanItsShareStandsOut() {
        Router router = router(Map.of(), "a", "b");
        for (int i = 0; i < 2000; i++) {
            Route route = router.route("", "", i % 2 == 0 ? "" : "key " + i);
            boolean refused = route.variant().name().equals("b") && i % 4 < 2;
            if (!refused) {
                route.answered().run();
            }
        }
        assertThat(router.sampleRatio().mismatch()).isTrue();
        router.reweigh(Map.of("a", 1.0, "b", 1.0));
        for (int i = 0; i < 2000; i++) {
            router.route("", "", i % 2 == 0 ? "" : "key " + i).answered().run();
        }
        assertThat(router.drawn("a") + router.drawn("b")).isEqualTo(2000);
        assertThat(router.sampleRatio().mismatch()).as("seed %d", SEED).isFalse();
    }

    @Test
    void anUnknownNameListsTheKnown() {
        assertThatThrownBy(() -> router(Map.of(), "a", "b").route("x", "", ""))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.NOT_FOUND))
                .hasMessageContaining("a, b");
    }

    @Test
    void wrongWeightsAndNamesAreRefused() {
        for (Map<String, Double> weights :
                List.of(
                        Map.of("x", 1.0),
                        Map.of("a", -1.0),
                        Map.of("a", Double.NaN),
                        Map.of("a", Double.POSITIVE_INFINITY),
                        Map.of("a", 0.0))) {
            assertThatThrownBy(() -> router(weights, "a", "b")).isInstanceOf(LitheException.class);
        }
        assertThatThrownBy(() -> router(Map.of(), "a", "a")).isInstanceOf(LitheException.class);
        assertThatThrownBy(() -> router(Map.of())).isInstanceOf(LitheException.class);
        assertThatThrownBy(() -> router(Map.of(), "a b")).isInstanceOf(LitheException.class);
    }
}
