package dev.lithe.cli;

import java.util.List;
import java.util.stream.IntStream;

/// What is asked of a server, and how it is measured.
///
/// @param variants the first is what the others are compared with
/// @param requests of each variant under each load; 0 for as many as the load needs
/// @param warmup requests of each variant before those that count
/// @param seed of the order, the prompts and the arrivals
/// @param vocabulary the smallest of the variants'
record BenchPlan(
        String target,
        List<String> variants,
        List<BenchLoad> loads,
        int requests,
        int promptTokens,
        int tokens,
        int warmup,
        long seed,
        int vocabulary,
        BenchGoal goal) {
    /// More rounds than an interval needs would be shorter ones.
    private static final int ROUNDS = 10;

    int requests(BenchLoad load) {
        return requests == 0 ? load.usualRequests() : requests;
    }

    /// How many requests each round holds.
    List<Integer> rounds(BenchLoad load) {
        int all = requests(load);
        int count = Math.max(1, all / load.fewestInRound());
        if (load.fewestInRound() > 1) {
            count = Math.min(count, ROUNDS);
        }
        int rounds = count;
        return IntStream.range(0, rounds)
                .mapToObj(i -> all / rounds + (i < all % rounds ? 1 : 0))
                .toList();
    }
}
