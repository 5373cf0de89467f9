"""Quark or gluon: ParticleNet-Lite on jets as lists of particles.

The document is a notebook with the log of a training run of 100 epochs on a CPU. It also imports ParticleNet and the
static forms of both networks, but trains none of them: here they are run with the training procedure of the one that it
does train.

    make reproduce STUDY=qg_particlenet
"""

from __future__ import annotations

from dataclasses import replace

from hepbench.benchmarks.study import Comparison, Experiment, Reported, Study

LOG = "log of the training"
JETS = 100_000
TRAINING = {  # of particlenet_lite_study, for entries with their own training settings
    "epochs": 100,
    "batch_size": 1024,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "step",
    "step_epoch": "11",
    "patience": 0,
    "best_by": "val_accuracy",
    "features": "raw",
    "scaling": "none",
}
WITHOUT_A_NUMBER = {budget: "the document has no number for it" for budget in ("smoke", "quick", "standard")}
DIFFERS = (
    "It uses the first file, shuffled and split 70/15/15; here the first file is split in sequence, and all 20 are "
    "split 80/10/10.",
    "It evaluates the test set after the last epoch; here the epoch with the highest validation accuracy counts.",
)

LITE = Experiment(
    name="lite",
    title="ParticleNet-Lite on raw pt, rapidity, phi and PDG code",
    task="qg_jets",
    model="particlenet_lite_study",
    settings={"features": "raw"},
    events=JETS,
    trained=70_000,
    tested=15_000,
    reported=(
        Reported("best validation accuracy", "final_val_accuracy", 0.8077, f"{LOG}, epochs 98 and 100"),
        Reported("test accuracy", "test_accuracy", 0.7788, "output of the evaluation"),
        Reported("test loss", "test_log_loss", 0.4794326, "output of the evaluation"),
        Reported("training accuracy", "accuracy", 0.7836, f"{LOG}, epoch 100", epoch=100, note="with dropout"),
        Reported("training loss", "loss", 0.4664, f"{LOG}, epoch 100", epoch=100),
        Reported("validation loss", "val_loss", 0.4400, f"{LOG}, epoch 100", epoch=100),
        Reported("trainable parameters", "parameters", 26_122, "model.summary()"),
        Reported("parameters with moving averages", "total_parameters", 26_898, "model.summary()"),
        Reported("seconds per epoch", "seconds_per_epoch", 287, f"{LOG}: 271 to 332, the mean"),
        Reported("seconds per step", "seconds_per_step", 4, f"{LOG}, batches of 1,024: 4 to 5", sign="about"),
    ),
    by_epoch={
        "accuracy": (
            0.7193, 0.7454, 0.7509, 0.7573, 0.7606, 0.7616, 0.7642, 0.7665, 0.7697, 0.7678, 0.7688, 0.7727, 0.7740,
            0.7741, 0.7743, 0.7743, 0.7745, 0.7744, 0.7755, 0.7753, 0.7745, 0.7754, 0.7746, 0.7755, 0.7762, 0.7759,
            0.7761, 0.7761, 0.7754, 0.7764, 0.7765, 0.7765, 0.7763, 0.7769, 0.7777, 0.7773, 0.7768, 0.7764, 0.7765,
            0.7775, 0.7777, 0.7784, 0.7782, 0.7779, 0.7781, 0.7787, 0.7782, 0.7794, 0.7785, 0.7790, 0.7794, 0.7805,
            0.7801, 0.7798, 0.7796, 0.7796, 0.7806, 0.7804, 0.7800, 0.7802, 0.7804, 0.7805, 0.7813, 0.7809, 0.7809,
            0.7803, 0.7813, 0.7814, 0.7814, 0.7815, 0.7808, 0.7815, 0.7826, 0.7828, 0.7817, 0.7822, 0.7819, 0.7817,
            0.7822, 0.7823, 0.7832, 0.7821, 0.7828, 0.7820, 0.7827, 0.7835, 0.7832, 0.7831, 0.7834, 0.7838, 0.7825,
            0.7839, 0.7834, 0.7833, 0.7837, 0.7841, 0.7835, 0.7838, 0.7838, 0.7836,
        ),
        "val_accuracy": (
            0.5097, 0.5625, 0.6480, 0.7323, 0.7510, 0.7831, 0.7863, 0.7947, 0.7997, 0.7889, 0.7939, 0.8007, 0.7997,
            0.8024, 0.8014, 0.8016, 0.8037, 0.8015, 0.8012, 0.8025, 0.8013, 0.8026, 0.8026, 0.8027, 0.8037, 0.8021,
            0.8036, 0.8023, 0.8047, 0.8027, 0.8039, 0.8043, 0.8043, 0.8031, 0.8037, 0.8045, 0.8027, 0.8043, 0.8048,
            0.8051, 0.8043, 0.8043, 0.8020, 0.8049, 0.8040, 0.8043, 0.8053, 0.8035, 0.8032, 0.8046, 0.8032, 0.8050,
            0.8057, 0.8032, 0.8048, 0.8041, 0.8063, 0.8041, 0.8043, 0.8041, 0.8049, 0.8041, 0.8045, 0.8051, 0.8063,
            0.8047, 0.8047, 0.8050, 0.8051, 0.8049, 0.8060, 0.8042, 0.8050, 0.8051, 0.8046, 0.8051, 0.8064, 0.8059,
            0.8049, 0.8045, 0.8065, 0.8041, 0.8054, 0.8071, 0.8071, 0.8049, 0.8055, 0.8066, 0.8048, 0.8055, 0.8049,
            0.8042, 0.8055, 0.8053, 0.8037, 0.8025, 0.8065, 0.8077, 0.8047, 0.8077,
        ),
        "loss": (
            0.5496, 0.5172, 0.5096, 0.5042, 0.5004, 0.4991, 0.4957, 0.4925, 0.4899, 0.4892, 0.4882, 0.4823, 0.4811,
            0.4809, 0.4805, 0.4806, 0.4803, 0.4801, 0.4798, 0.4798, 0.4795, 0.4793, 0.4789, 0.4785, 0.4783, 0.4781,
            0.4777, 0.4777, 0.4776, 0.4775, 0.4771, 0.4772, 0.4769, 0.4770, 0.4761, 0.4764, 0.4759, 0.4758, 0.4756,
            0.4755, 0.4753, 0.4753, 0.4748, 0.4747, 0.4745, 0.4743, 0.4744, 0.4740, 0.4735, 0.4735, 0.4734, 0.4731,
            0.4730, 0.4728, 0.4724, 0.4730, 0.4724, 0.4725, 0.4723, 0.4723, 0.4718, 0.4719, 0.4718, 0.4714, 0.4712,
            0.4712, 0.4709, 0.4710, 0.4703, 0.4704, 0.4703, 0.4702, 0.4701, 0.4700, 0.4702, 0.4699, 0.4693, 0.4692,
            0.4689, 0.4690, 0.4687, 0.4686, 0.4688, 0.4684, 0.4682, 0.4685, 0.4686, 0.4678, 0.4682, 0.4675, 0.4676,
            0.4672, 0.4674, 0.4673, 0.4671, 0.4665, 0.4668, 0.4668, 0.4662, 0.4664,
        ),
        "val_loss": (
            0.7252, 0.6673, 0.6029, 0.5250, 0.5088, 0.4716, 0.4650, 0.4631, 0.4533, 0.4630, 0.4557, 0.4489, 0.4481,
            0.4476, 0.4471, 0.4462, 0.4468, 0.4471, 0.4464, 0.4457, 0.4456, 0.4449, 0.4458, 0.4456, 0.4441, 0.4465,
            0.4435, 0.4441, 0.4436, 0.4447, 0.4435, 0.4443, 0.4441, 0.4430, 0.4426, 0.4436, 0.4433, 0.4434, 0.4418,
            0.4420, 0.4428, 0.4423, 0.4446, 0.4417, 0.4426, 0.4423, 0.4415, 0.4418, 0.4412, 0.4433, 0.4413, 0.4410,
            0.4421, 0.4407, 0.4405, 0.4411, 0.4424, 0.4426, 0.4447, 0.4416, 0.4402, 0.4397, 0.4402, 0.4416, 0.4412,
            0.4411, 0.4399, 0.4400, 0.4416, 0.4407, 0.4410, 0.4403, 0.4398, 0.4392, 0.4399, 0.4392, 0.4423, 0.4397,
            0.4393, 0.4405, 0.4395, 0.4396, 0.4402, 0.4402, 0.4409, 0.4393, 0.4386, 0.4383, 0.4383, 0.4392, 0.4411,
            0.4392, 0.4420, 0.4387, 0.4417, 0.4419, 0.4395, 0.4398, 0.4399, 0.4400,
        ),
    },
    differs=DIFFERS,
)  # fmt: skip

STUDY = Study(
    title="Quark or gluon: ParticleNet-Lite on lists of particles",
    source="Task II: Classical Graph Neural Network (GNN) Part, a notebook with a log of 28 March 2023; it names no "
    "author",
    experiments=(
        LITE,
        replace(
            LITE,
            name="lite_two_steps",
            title="the same with the second learning-rate step that the document intends",
            settings={"features": "raw", "step_epoch": "11,21"},
            reported=(),
            by_epoch={},
            left_out={budget: "its rate differs only after 21 epochs" for budget in ("smoke", "quick", "standard")},
        ),
        *(
            replace(
                LITE,
                name=name,
                title=title,
                model=model,
                settings=TRAINING,
                reported=(),
                by_epoch={},
                left_out=WITHOUT_A_NUMBER,
            )
            for name, model, title in (
                ("lite_static", "particlenet_lite_static", "ParticleNet-Lite with a static graph"),
                ("full", "particlenet", "ParticleNet"),
                ("full_static", "particlenet_static", "ParticleNet with a static graph"),
            )
        ),
    ),
    comparisons=(
        Comparison(
            "What would the second learning-rate step have changed?",
            "The document's condition for a hundredth of the rate after epoch 20 is never reached.",
            ("lite", "lite_two_steps"),
            ("test_accuracy", "final_val_accuracy", "test_auc"),
        ),
        Comparison(
            "ParticleNet and the static graphs",
            "The document imports them, names two architectures as its task, but trains only one.",
            ("lite", "lite_static", "full", "full_static"),
            ("test_accuracy", "test_auc"),
        ),
    ),
    remarks=(
        "Its validation accuracy of 0.8077 and its test accuracy of 0.7788 are for 15,000 jets each of the same file, "
        "and differ by six times the standard deviation of such a difference, 0.0047.",
        "It states that the training accuracy is close to 82 %; its log ends at 78.36 %.",
        "It states that it uses 900,000 jets from nine files, and that 10,000 samples take long; its listing loads one "
        "file of 100,000 and its log is for 70,000.",
    ),
)
