package dev.lithe.technique.factorize;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;

/// Basis Sharing (Wang, Wang, Lin, Wu, Yan, Zhuang: "Basis Sharing: Cross-Layer Parameter Sharing for
/// Large Language Model Compression", ICLR 2025, arXiv 2410.03765): neighbouring blocks write their
/// matrices of one kind in one basis, which is stored once, each with coefficients of its own.
///
/// `[W_1; ...; W_n] S = U Σ Vᵀ`, with S the Cholesky factor of the sum of `2/n X Xᵀ` over the blocks
/// of a group; the basis is `V_rᵀ S⁻¹` (r, K). Beyond the paper, a block's coefficients (N, r) are
/// then fitted to what its inputs have become by the compression before it:
/// `A = W H Rᵀ (R H Rᵀ)⁻¹`.
///
///     basis_sharing: {remove: 0.2, group: 2, multiple_of: 1}
///
/// q, k, v, gate and up share a basis; o and down are cut as `svd` cuts them, as in the paper. For N
/// outputs, K inputs and n blocks `r = ⌊(1 - remove) n N K / (K + n N)⌋`, at most K. The blocks that
/// are left over at the end form a smaller group. Linears must be dense; the output layer stays as
/// it is. Stages that look at data cannot follow, since a basis is not one block's own.
@AutoService(Technique.class)
public final class BasisSharing implements ModelTechnique<BasisSharing.Config> {
    /// @param remove share of the parameters of the blocks that goes, above 0 and below 1
    /// @param group neighbouring blocks that share a basis, at least 2
    /// @param multipleOf divides ranks
    public record Config(double remove, int group, int multipleOf) {
        public Config {
            if (!(remove > 0 && remove < 1)) {
                throw LitheException.badInput(
                        "remove is %s; choose a share above 0 and below 1 (0.2 is usual)", remove);
            }
            if (group < 2) {
                throw LitheException.badInput("group is %d; choose 2 or more blocks", group);
            }
            if (multipleOf < 1) {
                throw LitheException.badInput("multiple_of is %d; choose 1 or more", multipleOf);
            }
        }

        /// The first block of the group of `block`.
        int first(int block) {
            return block / group * group;
        }

        /// Blocks in the group of `block`, of `layers`.
        int members(int block, int layers) {
            return Math.min(group, layers - first(block));
        }

        /// The rank of a linear that shares its basis with others, or does not; 0 where none is
        /// worth it.
        long rank(LinearName linear, int layers) {
            long n = linear.outFeatures();
            long k = linear.inFeatures();
            long rows = shares(linear.slot()) ? n * members(linear.block(), layers) : n;
            long rank = (long) ((1 - remove) * rows * k / (rows + k));
            return Math.min(Math.min(rank, k), rows) / multipleOf * multipleOf;
        }
    }

    /// Whether linears of `slot` share a basis.
    static boolean shares(Slot slot) {
        return slot == Slot.QKV || slot == Slot.GATE_UP;
    }

    @Override
    public String name() {
        return "basis_sharing";
    }

    @Override
    public Family family() {
        return Family.FACTORIZATION;
    }

    @Override
    public String summary() {
        return "write matrices of neighbouring blocks in one basis that is stored once";
    }

    @Override
    public Config defaults() {
        return new Config(0.2, 2, 1);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        ModelSpec.of(model, "config.json")
                .sublayers()
                .requireAll("neighbours share a basis matrix by matrix", Sublayers.REMOVE_BLOCKS);
        // shapes stay as they are
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        LinearForm dense = outcome(before, config);
        long rank = linear.block() < 0 ? 0 : config.rank(linear, spec.layers());
        if (rank == 0 && linear.block() >= 0) {
            throw Svd.nothingLeft(
                    config.remove(),
                    linear.outFeatures(),
                    linear.inFeatures(),
                    config.multipleOf());
        }
        if (rank == 0) {
            return dense;
        }
        String owner = owner(linear, config) + ".right";
        boolean own = !shares(linear.slot()) || owner.equals(linear.right(rank).module());
        return new LinearForm.LowRank(
                null, own ? dense : new LinearForm.Shared(dense, owner), dense, rank);
    }

    /// The linear of `linear`'s kind in the first block of its group.
    static String owner(LinearName linear, Config config) {
        return linear.module()
                .replace(
                        "layers." + linear.block() + ".",
                        "layers." + config.first(linear.block()) + ".");
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        WholeModel made = model.reshaped(model.config());
        made.take(made.embedding(), model.embedding());
        made.take(made.output(), model.output());
        try (var bases = new Bases(model, config)) {
            model.walk(bases::see);
            made.walk(bases::fit);
        }
        return made;
    }
}
