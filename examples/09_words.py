"""Words as numbers: one-hot codes, embeddings, word2vec on real text, vectors from files."""

import argparse
import gzip
import os
import re

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = os.path.join(HERE, "data", "text", "tinyshakespeare.txt")
GLOVE = os.path.join(HERE, "data", "text", "glove.6B.100d.sample.txt.gz")
WORD2VEC = os.path.join(HERE, "data", "text", "word2vec.sample.txt")


class SkipGram(nn.Module):
    """Predicts the neighbours of a word (Mikolov et al., 2013), with negative samples."""

    def __init__(self, words, size):
        super().__init__()
        self.center = nn.Embedding(words, size)
        self.context = nn.Embedding(words, size)
        nn.init.zeros_(self.context.weight)

    def forward(self, center, context, noise):
        c = self.center(center)
        positive = (c * self.context(context)).sum(1)
        negative = torch.bmm(self.context(noise), c.unsqueeze(2)).squeeze(2)
        return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(1)).mean()


def read_vectors(path):
    """Words and their vectors from a GloVe file, or a word2vec text file with its header line."""
    opener = gzip.open if path.endswith(".gz") else open
    words, rows = [], []
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            word, *numbers = line.rstrip().split(" ")
            if len(numbers) <= 1:  # the header: how many words, how many numbers each
                continue
            words.append(word)
            rows.append([float(v) for v in numbers])
    return words, torch.tensor(rows)


def nearest(words, vectors, word, count=5):
    """The words whose vectors point most nearly in the same direction."""
    unit = F.normalize(vectors, dim=1)
    similarity = unit @ unit[words.index(word)]
    best = similarity.topk(count + 1).indices.tolist()
    return [words[i] for i in best if words[i] != word][:count]


def train_word2vec(text, vocabulary, steps, batch_size=512, window=4, negatives=5):
    """Skip-gram vectors of the most frequent words of a text."""
    tokens = re.findall(r"[a-z']+", text.lower())
    counts = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    words = sorted(counts, key=lambda w: (-counts[w], w))[:vocabulary]
    number = {word: i for i, word in enumerate(words)}
    corpus = torch.tensor([number[t] for t in tokens if t in number])
    print(f"{len(tokens)} words, {len(words)} of them distinct and frequent")

    model = SkipGram(len(words), 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    frequency = torch.tensor([float(counts[w]) for w in words]).pow(0.75)
    total = 0.0
    for step in range(steps):
        place = torch.randint(window, len(corpus) - window, (batch_size,))
        distance = torch.randint(1, window + 1, (batch_size,))
        sign = (torch.rand(batch_size) < 0.5).long().mul(2).sub(1)
        shift = distance * sign
        noise = torch.multinomial(frequency, batch_size * negatives, replacement=True)
        loss = model(corpus[place], corpus[place + shift], noise.view(batch_size, negatives))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        if step % 200 == 199:
            print(f"step {step + 1:4d}  loss {total / 200:.3f}")
            total = 0.0
    return words, model.center.weight.detach()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    torch.manual_seed(0)

    # one-hot: one place per word, no notion of likeness
    vocabulary = ["king", "queen", "apple"]
    codes = F.one_hot(torch.arange(3), num_classes=3)
    for word, code in zip(vocabulary, codes):
        print(word, code)

    # embedding: a row of numbers per word, which can be learned
    embedding = nn.Embedding(3, 4)
    numbers = torch.tensor([0, 2])
    print(embedding(numbers).shape, torch.equal(embedding(numbers), embedding.weight[numbers]))

    with open(TEXT, encoding="utf-8") as file:
        words, vectors = train_word2vec(file.read(), 1000, args.steps)
    for word in ("king", "father", "love"):
        print(f"near {word!r}:", ", ".join(nearest(words, vectors, word)))

    for path in (GLOVE, WORD2VEC):
        words, vectors = read_vectors(path)
        print(os.path.basename(path), tuple(vectors.shape), end=": ")
        word = words[min(len(words) - 1, 10)]
        print(f"near {word!r}:", ", ".join(nearest(words, vectors, word)))
    pretrained = nn.Embedding.from_pretrained(vectors)
    print(pretrained, pretrained.weight.requires_grad)


if __name__ == "__main__":
    main()
