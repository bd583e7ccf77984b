"""Words for limbs, which no field of a task tells apart; parts.py reads them."""

_LIMB_WORDS = """
    leg legs arm arms foot feet hand hands knee knees hip hips thigh thighs shin shins ankle ankles
    elbow elbows wrist wrists shoulder shoulders finger fingers toe toes neck tail joint joints side
"""
LIMBS = frozenset(_LIMB_WORDS.split())
"""What of a body no field tells apart: "its left leg" is no direction, "raise an arm" no height."""

_WHOSE_WORDS = """
    its the my a an both one only all each left right front back rear hind fore upper lower inner
    outer
"""
WHOSE = frozenset(_WHOSE_WORDS.split())
"""What may stand before a limb."""

OF_A_LIMB = frozenset({"move", "height", "spin", "still", "tilt", "hop"})
"""What is done to a limb rather than to the robot: "raise its arm", "the arms still"."""

WHICH = frozenset({"left", "right", "front", "back", "rear", "hind", "fore", "upper", "lower"})
"""Before a limb they tell it from others: what is said of it is not what is said of all."""
