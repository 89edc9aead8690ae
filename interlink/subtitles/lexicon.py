"""Classes of English words that tell where a sentence can begin and end. Hand-made; imports nothing."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that open a thought, and words that open one unless they end one ("over here", "right now", "as well").
OPENS = _set("okay ok alright anyway hey hi hello boom remember firstly secondly finally guys folks today")
MAY_OPEN = _set("so now well then first next oh yeah yes no let's look please maybe meanwhile instead")
SUBJECT = _set(
    "i we they he she you i'm we're you're they're he's she's we've i've you've they've we'll i'll you'll "
    "they'll i'd we'd you'd they'd"
)
POINTS = _set("it this that these those here there it's that's there's here's what's it'll that'll")
ASKS = _set("what how why who where when")
LEADING = _set("if when once as while unless although though whenever")  # their clause more often comes first
TRAILING = _set("since because after before until")  # … last
SUBORDINATES = LEADING | TRAILING
DETERMINES = _set("the a an my your our their his her its this that these those some any every each no another all")
PREPOSITIONS = _set(
    "of to in on at by with for from into onto under about than between through during without within "
    "toward towards against among per via regardless"
)
AUXILIARY = _set(
    "is are was were am be been being have has had do does did can could will would should may might must "
    "gonna going isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't "
    "haven't hasn't"
)
# After these a thought goes on.
DANGLES = (
    _set(
        "and or but if because very really my your our their his its i we they he she you i'm we're you're "
        "they're he's she's it's that's we've i've you've they've we'll i'll you'll who whose which while as "
        "some any what how why when where don't doesn't didn't can't won't isn't here's there's let's gonna a "
        "an the to of also just quite maybe every each another please"
    )
    | PREPOSITIONS
    | AUXILIARY
    | _set("many such same other own")
    | SUBORDINATES
)
# They dangle before most words, but may end a sentence.
MAY_END = _set(
    "to in on about for with through under this that these those it so her you do is are have had going "
    "up before after since"
)
LEADS = _set("okay ok alright now so well oh yeah then first next and hey anyway")  # a thought follows in the sentence
# Verbs whose object is often a clause of its own.
SAYS = _set(
    "think know say says said see guess mean means hope believe feel feels find realize realise "
    "understand tell sure agreed suppose bet figure notice imagine assume learn show shows remember found "
    "thought"
)
# Verbs that begin an instruction.
INSTRUCTS = _set(
    "add get try take put make turn cook stir mix cut pour use keep check click go come start don't grab "
    "place season serve drive give press hold wait open close pull push fold roll cover leave bring set "
    "drop watch remove clean wash dry peel chop slice select type drag move see look let think notice "
    "repeat tighten measure drill spread wrap"
)
VERBS = (
    INSTRUCTS
    | SAYS
    | AUXILIARY
    | _set(
        "need needs got gets goes went came comes took takes made makes gives gave looks looked works work "
        "happens lets puts uses seems becomes became keeps kept runs ran helps help allows wants likes love "
        "loves call calls called benefit enjoy join target meet met provide provides order read sign enroll "
        "watch"
    )
)
CONTRACTED = ("'s", "'re", "'m", "'ve", "'ll", "'d")
CONTINUES = PREPOSITIONS - {"in", "on", "at", "for", "with", "from", "by", "about"} | _set(
    "is are was were am be been has had could would gonna going that which who whose or not than"
)
ENDS_WITH_THAT = _set("like at do of doing did than over after on with about")  # "like that", "after that"
PHRASES = frozenset([("in", "fact"), ("for", "example"), ("for", "instance"), ("of", "course"), ("by", "way")])
COMMENTS = _set("maybe just really perhaps basically actually obviously unfortunately")  # before a fragment too
CLOSES = frozenset([("we", "go"), ("you", "go"), ("it", "is"), ("we", "are")])  # "here we go"
JOINS = _set("and but")
JOINED_BY = _set("now then so just as if when once i we you they he she it's that's this it there finally also")

FUNCTION = OPENS | MAY_OPEN | SUBJECT | POINTS | ASKS | SUBORDINATES | DETERMINES | DANGLES | CONTINUES | JOINS


def is_verb(word: str) -> bool:
    """Whether a folded word is surely a verb form, or has one contracted to it."""
    return word in VERBS or (word.endswith(CONTRACTED) and len(word) > 2)


def is_nominal(word: str) -> bool:
    """Whether a folded word looks like a noun: a content word that is no known verb and has no ending of one."""
    return word not in FUNCTION and not is_verb(word) and not word.endswith(("ing", "ly"))
