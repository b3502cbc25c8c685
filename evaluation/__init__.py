"""Statistics over the engine's tables (``evidence``) and, in simulations, over the sealed truth (``truth``).

``effect`` measures lift, ``stuck`` and ``calibration`` the detector, ``bandit_value`` and ``off_policy`` the learner, ``integrity`` and
``balance`` the validity of the experiment. All are pure functions over frames and arrays; the engine never imports this package.
"""
