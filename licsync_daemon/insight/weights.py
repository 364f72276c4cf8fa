"""What each piece of evidence adds to the log-odds that two seats are one human being: one table, with the reason for each number.

Natural logarithms: +0.7 doubles the odds. Fitted by conditional logistic regression on fleets made of the .mailmap files of seven public
projects, each judged by weights fitted without it, then rounded; a sign that did not raise the recall of the project left out is not here.
"""

from enum import IntEnum, auto


class Sign(IntEnum):
    """A piece of evidence about a pair of seats, and what its value means."""

    WHOLE = auto()  # 1: a login is all of the name, or two whole words of it
    INITIAL = auto()  # 1: ... an initial and a whole word
    HALF = auto()  # 1: ... one word, two beginnings, or initials
    SAME = auto()  # 1: both are called the same
    LETTERS = auto()  # tens of letters of the longest login that agrees, 1.2 at most
    COMMON = auto()  # doublings of the seats that the rarest such login could mean
    WORD = auto()  # doublings of the seats that have the rarest word of the name
    NUMBER = auto()  # 1: other numbers, or only one side has one
    OCCUPIED = auto()  # instances on which both already have an account
    UNEXPLAINED = auto()  # what one is called and the other's name does not explain
    BROKEN_HABIT = auto()  # surprise (natural log) at how a login relates to the name, where the instance's logins follow a rule
    DOMAIN = auto()  # 1 for a domain that only these two have, less for one that more have
    LABEL = auto()  # 1: the domain of one is the name of the other
    SAME_NAME = auto()  # 1: equal display names, where servers have them
    OTHER_NAME = auto()  # 1: display names that share too little


WEIGHTS: dict[Sign, float] = {
    Sign.WHOLE: 2.3,  # few people share two words of a name: one of a thousand with another surname would need the same login by chance
    Sign.INITIAL: 1.3,  # an initial narrows a surname, but brothers and namesakes share it
    Sign.HALF: -0.6,  # a first name alone is what many people are called; it needs its letters and its rarity to count
    Sign.SAME: 1.0,  # people take their nickname along
    Sign.LETTERS: 3.4,  # long logins seldom agree by chance
    Sign.COMMON: -0.8,  # each doubling of the people who could be meant halves the odds, and a little more
    Sign.WORD: -0.8,  # `kumar` says less than `octocat`, even where the login is used once
    Sign.NUMBER: -1.3,  # mona12 and mona85 are two people more often than mona and mona12 are one
    Sign.OCCUPIED: -2.1,  # one person has one account on an instance; second accounts are one in twenty
    Sign.UNEXPLAINED: -1.4,  # a second login that fits somebody else's name
    Sign.BROKEN_HABIT: -0.3,  # where every login is an initial and a surname, another kind of agreement is chance
    Sign.DOMAIN: 2.1,  # a small domain is shared by few
    Sign.LABEL: 3.0,  # octocat.example belongs to an Octocat
    Sign.SAME_NAME: 9.0,  # beats everything but a rival of the same name
    Sign.OTHER_NAME: -9.0,  # two names are two people, whatever their logins are
}
