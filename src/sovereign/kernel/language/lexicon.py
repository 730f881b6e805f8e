"""Generic words of scientific prose: what they mean for direction, negation, hedging and scope, and which say the same. Imports the standard
library only; refuses subject-matter facts (no system, data set or finding is named here)."""

from __future__ import annotations

STOP = frozenset(
    """a an the this that these those it its they them their we our us i you he she his her which who whom whose what where when there here as of
    in on at by for with from to into onto than then and or but so if is are was were be been being am has have had having do does did done
    will would shall should can could may might must about over under between among per via during while whereas although though
    because since until also both each such very most much many own same other another some any all not no nor only just even still yet
    too out up down off again further once how why however therefore thus hence moreover furthermore additionally respectively i.e e.g etc et al
    using use used uses namely indeed overall particularly especially specifically well toward towards through throughout against upon
    that's one ones""".split()
)
# Words that carry almost no content when a statement is compared with its source: reporting frames and fillers.
WEAK = frozenset(
    """
    after before arrive arrives occur occurs show shows showed shown showing demonstrate demonstrates demonstrated find finds found
    observe observes observed report reports reported result results paper work study author authors experiment experiments propose
    proposes proposed present presents presented introduce introduces introduced approach method methods technique system framework our
    new novel furthermore importantly notably interestingly finding findings evaluate evaluated evaluation analysis according achieve
    achieves achieved achieving obtain obtains obtained attain attains attained reach reaches reached yield yields yielded deliver
    delivers delivered give gives given giving provide provides provided produce produces produced exhibit exhibits exhibited make makes
    made lead leads led allow allows enable enables enabled resulting value values number numbers amount level levels case cases setting
    settings condition conditions term terms type types kind way corresponding respective actually effectively successfully able become
    becomes became remain remains remained relative figure figures table tables based thereby measured stand stands come comes put puts
    need needs form forms stay stays side lie lies get gets across within call calls called thing things part sit sits turn turns hand
    namely say says said state states stated take takes taken
    """.split()
)

# --- direction: +1 the named quantity goes up, -1 down; "good"/"bad" and "fast"/"slow" are resolved against the metric they qualify ---

UP = frozenset(
    """increase increases increased increasing increasingly rise rises rose risen rising grow grows grew grown growing growth raise raises raised
    raising higher high highest larger large largest greater great greatest more  boost boosts boosted boosting elevate
    elevates elevated expand expands expanded expanding expansion climb climbs climbed jump jumps jumped exceed exceeds exceeded exceeding surpass
    surpasses surpassed surge surges surged amplify amplifies amplified enlarge enlarged escalate escalates escalated bigger longer upward
    upwards lengthen lengthens lengthened widen widens widened heighten heightened inflate inflates inflated inflating increment stronger strong
    strongest above multiply multiplies multiplied add adds added adding upregulate upregulated upregulates upregulation promote promotes promoted
    stimulate stimulates stimulated activate activates activated intensify intensifies intensified
    accumulate accumulates abundant overexpression up augment augments augmented maximize maximizes maximise
    maximising maximizing positive positively double doubles doubled doubling triple triples tripled swell swells swelled
    soar soars soared ascend ascends""".split()
)
DOWN = frozenset(
    """
    decrease decreases decreased decreasing decreasingly fall falls fell fallen falling drop drops dropped dropping reduce reduces reduced
    reducing reduction reductions lower lowers lowered lowering low lowest smaller small smallest less fewer few fewest decline declines
    declined declining diminish diminishes diminished diminishing shrink shrinks shrank shrunk shrinking cut cuts cutting save saves saved
    saving savings minimize minimizes minimized minimizing minimise minimises minimising minimal shorten shortens shortened shortening
    shorter curtail curtails lessen lessens lessened loss-of trim trims trimmed compress compresses compressed slash slashes slashed
    weaker weak weakest below alleviate alleviates alleviated mitigate mitigates mitigated attenuate attenuates attenuated suppress
    suppresses suppressed inhibit inhibits inhibited downregulate downregulated downregulates downregulation deplete depleted halve halves
    halved narrower narrow narrows narrowed narrowing plummet plummets plummeted sink sinks sank down negative negatively deflate deflated
    dwindle dwindles subside subsides dampen dampens impede impedes hinder hinders hindered block blocks blocked prevent prevents
    prevented relieve relieves lighter least decrement contract contracts plunge plunges plunged recede recedes shed sheds shave shaves
    shaved underexpression slump slumps slumped lacking ease eases eased
    """.split()
)
GOOD = frozenset(
    """
    gain gains gained gaining enhances enhanced enhancing enhancement improve improves improved improving improvement improvements better
    best outperform outperforms outperformed outperforming superior beat beats beaten strengthen strengthens strengthened enhance benefit
    benefits benefited win wins winning advantage advantages advantageous excel excels favorable favourable favorably successful
    upgrade upgrades lead outstrip outstrips outstripped outdo outdoes trump trumps
    """.split()
)
BAD = frozenset(
    """
    degrade degrades degraded degrading degradation worse worst worsen worsens worsened worsening deteriorate deteriorates deteriorated
    deterioration harm harms harmed harmful hurt hurts hurting underperform underperforms underperformed underperforming inferior impair
    impairs impaired undermine undermines poorer poor poorest trail trails trailed trailing lag lags lagged lagging disadvantage
    disadvantages damage damages damaged ineffective unfavorable unfavourable suboptimal loses lose lost
    """.split()
)
FAST = frozenset(
    """faster fastest fast quicker quick quickly quickest rapid rapidly accelerate accelerates accelerated accelerating acceleration speedup
    speedups speed-up speed-ups speeds speeding sped hasten hastens expedite expedites swifter swift""".split()
)
SLOW = frozenset(
    """slower slowest slow slows slowed slowing slowdown slowdowns slowly decelerate decelerates decelerated delay delays delayed sluggish
    retard retards slow-down""".split()
)
SAME = frozenset(
    """unchanged same equal equals equally identical comparable constant preserve preserves preserved preserving maintain maintains maintained
    maintaining retain retains retained match matches matched matching par equivalent stable flat unaffected invariant keep keeps kept
    hold holds holding lossless parity consistent unaltered""".split()
)
# Opposites that are not directions of a quantity; any two words from different sides of one line exclude each other.
OPPOSITES: tuple[tuple[str, str], ...] = (
    ("similar alike resemble resembles homogeneous", "dissimilar different distinct unlike differ differs heterogeneous"),
    ("within intra", "across inter between"),
    ("prefill", "decode decoding"),
    ("shallow shallower early earlier", "deep deeper late later"),
    ("first initial", "last final"),
    ("partially partly partial", "fully entirely completely wholly full complete"),
    ("train training", "inference test testing"),
    ("present presence", "absent absence"),
    ("success succeed succeeds successful", "failure fail fails failed unsuccessful"),
    ("simple simpler easy easier", "complex complicated difficult hard harder"),
    ("supervised", "unsupervised self-supervised"),
    ("static fixed", "dynamic adaptive variable"),
    ("dense", "sparse"),
    ("hard", "soft"),
    ("linear linearly", "quadratic quadratically exponential exponentially logarithmic logarithmically nonlinear"),
    ("positive", "negative"),
    ("significant significantly substantial substantially considerable considerably markedly dramatically large",
     "negligible negligibly marginal marginally slight slightly insignificant insignificantly minor minimally modest modestly"),
    ("rarely seldom infrequently", "often frequently commonly usually typically always"),
    ("majority most", "minority few"),
    ("cheap cheaper inexpensive", "expensive costly pricier"),
    ("support supports supported confirm confirms confirmed", "refute refutes refuted contradict contradicts contradicted reject rejects disprove"),
    ("include includes including included", "exclude excludes excluding excluded omit omits"),
    ("before prior preceding", "after following subsequent"),
    ("input inputs", "output outputs"),
    ("upper top", "lower bottom"),
    ("maximum maximal max", "minimum minimal min"),
    ("online", "offline"),
    ("local", "global remote"),
    ("sensitive", "robust insensitive resistant"),
    ("necessary required essential needed", "unnecessary optional dispensable"),
    ("possible feasible", "impossible infeasible"),
    ("accurate accurately precise", "inaccurate imprecise"),
    ("correlated correlates", "uncorrelated independent independently"),
    ("single", "multiple multi several"),
    ("sequential sequentially serial", "parallel concurrently concurrent simultaneously"),
    ("known", "unknown"),
    ("always", "never"),
    ("all every", "none"),
    ("with", "without"),
    ("short shorter", "long longer"),
    ("old older oldest", "young younger newer recent"),
    ("lossless losslessly", "lossy"),
    ("image images vision visual", "text textual language"),
    ("encoder", "decoder"),
    ("homogeneous", "heterogeneous"),
    ("upstream", "downstream"),
    ("overestimate overestimates", "underestimate underestimates"),
    ("overfit overfitting overfits", "underfit underfitting underfits"),
    ("ignore ignores neglect neglects", "consider considers account accounts"),
    ("merely simply only", "fully"),
    ("internal internally", "external externally"),
    ("require requires required", "avoid avoids eliminate eliminates remove removes"),
    ("frozen freeze freezing freezes", "trainable unfrozen finetuned"),
    ("homozygous", "heterozygous"),
    ("male men", "female women"),
)  # fmt: skip

NEGATIONS = frozenset(
    """not no never neither nor cannot without none nothing hardly barely scarcely seldom rarely fails fail failed unable lacks lack lacked
    absence absent nobody nowhere isn't aren't wasn't weren't doesn't don't didn't can't won't couldn't wouldn't shouldn't hasn't haven't hadn't
    n't prevents impossible refuses refuse contrary""".split()
)
# "not only" and its kind add, they do not deny.
NOT_A_NEGATION = ("not only", "not just", "not merely", "no matter", "not to mention", "not necessarily only", "no doubt", "no less than", "no more than",
                  "no later than", "no fewer than")  # fmt: skip

HEDGES = frozenset(
    """may might could possibly potentially perhaps probably likely suggest suggests suggested suggesting appear appears appeared seem seems
    seemed seemingly apparently presumably tend tends tended hypothesize hypothesizes hypothesised hypothesise speculate believe conjecture
    plausible plausibly preliminary tentative tentatively arguably indicative unclear expected expect assume assumed
    sometimes occasionally often usually typically generally frequently commonly mostly largely mainly partially partly somewhat
    occasional potential promising hint hints hinted""".split()
)
APPROXIMATE = frozenset("about around approximately roughly nearly almost circa some".split())
UNIVERSAL = frozenset(
    """all every always any everywhere universally entirely completely never none consistently invariably each whole regardless irrespective
    guaranteed guarantee guarantees uniformly without-exception exclusively fully totally solely wholly only must proves proven prove
    definitively certainly undoubtedly unconditionally across-the-board invariably whenever wherever whatever whichever perfectly
    strictly""".split()
)
PARTIAL = frozenset("""
    most some certain majority part half often usually typically generally mostly largely mainly partially partly
    selected subset sometimes
    """.split())  # fmt: skip
ONLY = frozenset("only solely exclusively alone merely just".split())
CAUSAL = frozenset("cause causes caused causing because due attributable proves prove proven guarantee guarantees ensures ensure".split())
ASSOCIATIVE = frozenset(
    "associate associates associated association correlate correlates correlated correlation link linked related relate".split()
)
OPINION = frozenset(
    """beautiful elegant exciting interesting amazing remarkable wonderful terrible ugly nice impressive disappointing fascinating boring
    revolutionary groundbreaking great awesome cool best-ever important crucial promising believe think feel hope should opinion arguably
    ought boring wonderful brilliant lovely""".split()
)

# --- metrics: words whose numbers are results; True when less is better ---

METRICS: dict[str, bool] = {
    **dict.fromkeys(
        """latency ttft tpot time runtime memory footprint loss error errors perplexity ppl wer cer communication cost costs overhead energy
        power traffic flops flop compute computation parameters parameter size bandwidth consumption delay misses miss stall stalls transfer transfers
        transferred rmse mse mae fid eer fpr fnr carbon emissions vram ram storage redundancy variance divergence regret mortality risk
        fallbacks cross-device ratio activations bytes duration usage utilization-loss complexity distance""".split(), True,
    ),
    **dict.fromkeys(
        """
    accuracy f1 macro-f1 micro-f1 throughput bleu rouge rouge-l speed speedup speedups performance score scores map auc auroc auprc recall
    precision similarity similarities quality ndcg mrr r@1 pass@1 exact em hit hits hit-rate hitrate utilization efficiency iou miou dice
    psnr ssim msi rate rates reward success cider meteor spice win bertscore d correlation agreement kappa perf specialization gain gains
    improvement improvements separation acceptance compression sparsity likelihood fidelity robustness coverage capacity frequency
    survival sensitivity specificity chrf comet ap elo mcc pearson spearman
    """.split(), False,
    ),
}  # fmt: skip

# --- words that say the same in scientific prose; the first is the concept's name. Words with a direction need not stand here. ---

SYNONYMS: tuple[str, ...] = (
    "surpass outperform outperforms outperformed outperforming surpasses surpassed beat beats beaten exceed exceeds exceeded "
    "exceeding outstrip outstrips superior top tops outdo outdoes",
    "show shows showed shown demonstrate demonstrates demonstrated indicate indicates indicated reveal reveals revealed find finds "
    "found observe observed report reports reported confirm confirms confirmed prove establish established establishes illustrate "
    "illustrates",
    "propose proposes proposed present presents presented introduce introduces introduced describe describes described develop "
    "develops developed devise devised put offer offers offered",
    "achieve achieves achieved achieving obtain obtains obtained attain attains attained reach reaches reached get gets got score "
    "scores scored yield yields yielded deliver delivers delivered give gives provide provides provided produce produces produced "
    "record records recorded post posts",
    "use uses used using employ employs employed utilize utilizes utilized utilise utilises adopt adopts adopted leverage leverages "
    "leveraged apply applies applied exploit exploits exploited rely relies relying harness harnesses draw draws",
    "method approach technique scheme strategy algorithm procedure mechanism methodology solution",
    "baseline baselines reference control vanilla counterpart counterparts",
    "prompt prompts input inputs query queries question questions",
    "category categories class classes kind kinds type types",
    "task tasks",
    "dataset datasets benchmark benchmarks corpus corpora data-set data-sets collection collections",
    "experiment experiments evaluation evaluations trial trials test tests assessment assessments evaluate evaluated evaluating "
    "assess assessed tested",
    "model models network networks",
    "parameter parameters weight weights",
    "layer layers block blocks",
    "expert experts",
    "token tokens",
    "image images picture pictures visual vision photo photos",
    "text textual texts",
    "language languages linguistic",
    "latency delay delays lag wait waiting response-time",
    "time times duration runtime",
    "tpot time-per-output-token",
    "ttft time-to-first-token",
    "throughput rate speed",
    "memory vram ram footprint",
    "communication traffic transfer transfers transferred transmission exchange",
    "cost costs expense expenses overhead overheads price budget budgets",
    "accuracy accuracies correctness accurate accurately",
    "performance performs perform performed performing quality effectiveness",
    "error errors mistake mistakes",
    "device devices machine machines gpu gpus accelerator accelerators hardware",
    "train trains trained training fit fitted learn learns learned learning",
    "finetune finetunes finetuned finetuning fine-tune fine-tuned fine-tuning tune tuned tuning",
    "infer inference generation generate generates generated generating inferring decode decoding decodes decoded",
    "select selects selected selecting selection choose chooses chose chosen choosing pick picks picked",
    "predict predicts predicted predicting prediction predictions forecast forecasts estimate estimates estimated estimation anticipate",
    "assign assigns assigned assignment allocate allocates allocated allocation distribute distributed distributes dispatch "
    "dispatches dispatched",
    "route routes routed routing router routers gating gate gates",
    "cache caches cached caching",
    "explain explains explained explanation account accounts attribute attributed attributable due",
    "cause causes caused because stem stems",
    "depend depends dependent rely hinge hinges",
    "differ differs different difference differences distinct distinguish gap gaps margin margins",
    "similar similarity similarities alike resemble resembles resemblance close",
    "compare compares compared comparing comparison relative versus vs against",
    "significant significantly substantial substantially considerable considerably marked markedly notable notably clear clearly "
    "dramatic dramatically sizeable appreciably strongly large sharp sharply",
    "slight slightly marginal marginally modest modestly small negligible negligibly minor little",
    "important crucial essential key vital critical central",
    "novel new",
    "whole entire full complete overall total",
    "require requires required need needs needed requiring demand demands demanded necessitate necessitates necessary requirement",
    "contain contains containing comprise comprises consist consists consisting include includes including included hold holds "
    "contain made encompass encompasses",
    "construct constructs constructed construction build builds built building create creates created creation form forms assemble "
    "assembled design designs designed make",
    "explore explores explored investigate investigates investigated examine examines examined study studies studied analyze analyzes "
    "analyzed analyse analysed analyses analysis inspect probe probes look",
    "problem problems issue issues challenge challenges difficulty difficulties obstacle obstacles",
    "solve solves solved address addresses addressed tackle tackles tackled handle handles handled resolve resolves overcome overcomes",
    "help helps helped aid aids assist assists support supports facilitate facilitates enable enables enabled allow allows allowed "
    "permit permits let lets",
    "combine combines combined combining merge merges merged integrate integrates integrated fuse fuses fused unify join joins joint",
    "share shares shared proportion fraction percentage portion part ratio",
    "average averaged mean averages avg",
    "example examples instance instances sample samples case",
    "annotate annotated label labels labeled labelled annotations annotation",
    "change changes changed modify modifies modified modification alter alters altered vary varies varied adjust adjusts adjusted "
    "adjustment",
    "robust robustness resilient resilience",
    "human humans people person manual manually",
    "user users people",
    "large bigger big massive huge extensive",
    "feature features",
    "represent represents representation representations embedding embeddings encode encodes encoded vector vectors",
    "component components module modules part parts",
    "expert experts specialist",
    "specialize specializes specialized specialization specialisation specialise specialised",
    "efficient efficiency efficiently economical",
    "effective effectiveness effectively",
    "fast faster speed speedup accelerate accelerates accelerated acceleration quick quicker rapid",
    "across throughout over",
    "various multiple several diverse variety different range many numerous",
    "remain remains remained stay stays keep keeps kept maintain maintains maintained preserve preserves preserved retain retains retained",
    "remove removes removed removing removal eliminate eliminates eliminated drop discard discards discarded delete omit omits "
    "omitted omission prune pruned without",
    "replace replaces replaced substitute substitutes substituted swap swapped",
    "capture captures captured",
    "focus focuses focused concentrate concentrates concentrated",
    "extend extends extended extension",
    "release releases released publish published available public publicly open",
    "parallel concurrent concurrently simultaneous simultaneously",
    "store stores stored storage keep resident reside resides",
    "load loads loaded loading fetch fetches fetched copy copies copied move moves moved",
    "draft drafts drafted draw",
    "accept accepts accepted acceptance",
    "distribution distributions",
    "dominate dominates dominated",
    "consistent consistently uniform uniformly",
    "competitive comparable equal equivalent similar par match matches matching identical same",
    "rank ranks ranked ranking",
    "deep deeper depth late later",
    "shallow shallower early earlier",
    "optimize optimizes optimized optimization optimise optimised optimisation optimizing",
    "compress compressed compression compresses",
    "quantize quantized quantization quantise quantised quantisation",
    "retrieve retrieves retrieved retrieval search searching",
    "question questions query",
    "answer answers answered answering response responses reply",
    "code source-code implementation implementations implemented implement implements",
    "prefill prompt-processing",
    "gpu gpus",
    "plain ordinary vanilla standard conventional usual normal regular traditional",
    "expensive costly",
    "ahead before advance beforehand prior",
    "compute computes computed computing calculate calculates calculated run runs runs execute executes",
    "several multiple various",
    "leave leaves unchanged left",
    "bring brings brought",
    "follow follows followed obey obeys",
    "law distribution",
    "rearrange rearranges regroup regroups reorder reorders reordering reordered",
    "adjacent neighbouring neighboring consecutive successive",
    "further another additional extra",
    "chance random randomly",
    "optimal optimum best ideal",
    "convert converts converted conversion",
    "respond responds react reacts",
    "forecast forecasts foresee",
    "possess possesses own owns",
    "shift shifts moved moves",
    "bandwidth",
    "quadratic quadratically",
    "linear linearly",
    "contribute contributes contributed contribution",
    "mainly primarily chiefly largely mostly predominantly principally",
    "begin begins start starts started initial initially first",
    "end ends final finally last",
    "associate associated association correlate correlated correlation correlates linked link related relate relation relationship",
    "patient patients",
    "cell cells cellular",
    "drug drugs medication medications treatment treatments therapy therapies",
    "disease diseases illness disorder disorders",
    "death deaths mortality die died",
    "child children infant infants",
    "tumor tumors tumour tumours cancer cancers",
    "gene genes genetic",
    "mouse mice murine",
    "induce induces induced trigger triggers triggered",
    "bind binds binding bound",
    "mutation mutations mutant mutants",
    "role function functions functional",
    "apparent visible evident obvious noticeable pronounced",
    "structure structures structural",
    "separate separates separated separation",
    "only solely exclusively alone purely just merely",
    "occur occurs occurred happen happens arise arises",
    "tradeoff trade-off trade-offs tradeoffs balance",
    "independent independently regardless irrespective",
    "scale scales scaled scaling",
    "size sizes dimension dimensions width",
    "step steps stage stages phase phases",
    "limit limits limited limitation constraint constraints restrict restricts restricted bound cap caps capped bounded",
    "run runs ran running execute executes executed execution operate operates",
    "real actual true genuine",
    "virtual dummy",
    "hypothesis hypotheses hypothesize",
    "state-of-the-art sota leading",
    "outside beyond",
    "correct right true",
    "wrong incorrect false",
    "whenever when if",
    "fixed constant static unchanged",
    "adaptive adaptively dynamic dynamically adapt adapts adapted",
    "domain domains field fields area areas",
    "half halve halves halved",
    "twice double doubled doubles doubling",
    "single one sole",
    "exist exists existing prior previous earlier current",
    "suffer suffers suffering",
    "gain gains benefit benefits advantage advantages",
    "context contexts sequence sequences",
    "length lengths long",
    "attend attention",
    "consume consumes consumed consumption spend spends spent occupy occupies take",
    "measure measures measured measurement metric metrics quantify quantified",
    "rate rates ratio frequency",
    "bottleneck bottlenecks limiting",
)  # fmt: skip
