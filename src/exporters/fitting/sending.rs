//! A request on its way in parts.

use bytes::Bytes;
use slimspan_proto::Items;

use super::{Sent, Stuck, TAKEN_BY_ALL, may_be_for_size};
use crate::answer::Answer;
use crate::exporters::terms::Oversize;
use crate::refusal::Refusal;

pub(super) struct Sending<S> {
    items: Items,
    oversize: Oversize,
    send: S,
    /// What is left, by parts; the last one goes next.
    waiting: Vec<Vec<usize>>,
    /// The size of the largest part that the backend took, if it took any.
    taken: Option<usize>,
    refused: Option<Refusal>,
    /// Why nothing more is sent.
    pointless: Option<Refusal>,
    /// The size of the smallest item that was refused for it, and the refusal. What is as large is not
    /// asked about.
    too_large: Option<(usize, Refusal)>,
    stuck: Vec<usize>,
    answer: Answer,
}

/// What the backend says of a part.
#[derive(Debug, PartialEq)]
enum Said {
    Taken,
    TooLarge,
    /// It refuses for another reason.
    Refused,
}

impl<S, F> Sending<S>
where
    S: FnMut(Bytes) -> F,
    F: Future<Output = Result<Answer, Refusal>>,
{
    /// The items are sent by `send`.
    pub(super) fn new(items: Items, oversize: Oversize, send: S) -> Self {
        Self {
            items,
            oversize,
            send,
            waiting: Vec::new(),
            taken: None,
            refused: None,
            pointless: None,
            too_large: None,
            stuck: Vec::new(),
            answer: Answer::success(),
        }
    }

    /// Sends these parts in their order, and smaller ones in the place of those that are too large.
    pub(super) async fn all(mut self, parts: Vec<Vec<usize>>) -> Result<Sent, Refusal> {
        self.waiting = parts;
        self.waiting.reverse();
        if self.oversize == Oversize::Refused {
            self.ask_for_the_largest().await?;
        }
        while let Some(part) = self.waiting.pop() {
            if let Some(refusal) = self.pointless.clone() {
                let rest = std::mem::take(&mut self.waiting);
                self.refuse(&[part, rest.concat()].concat(), refusal);
            } else if part.len() > 1 && self.is_known(self.items.len_of(&part)) {
                self.halve(part);
            } else {
                match self.ask(&part).await? {
                    Said::TooLarge if part.len() > 1 => self.halve(part),
                    Said::TooLarge => self.sort_out().await?,
                    Said::Taken | Said::Refused => {}
                }
            }
        }
        self.end()
    }

    /// Sends the largest item before all others: where that is taken, all are, and where it is not, none is. One that
    /// is refused for another reason tells nothing of the next, of which not many are asked for.
    async fn ask_for_the_largest(&mut self) -> Result<(), Refusal> {
        const MOST: usize = 3;
        for _ in 0..MOST {
            let waiting = self.waiting.iter().flatten();
            let Some(largest) = waiting.copied().max_by_key(|index| self.alone(*index)) else {
                break;
            };
            self.take_out(|index| index == largest);
            if self.ask(&[largest]).await? != Said::Refused || self.pointless.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Sends some items. A refusal that a retry can change, or that concerns all, is an error.
    async fn ask(&mut self, part: &[usize]) -> Result<Said, Refusal> {
        let request = self.items.of(part);
        let len = request.len();
        match (self.send)(request).await {
            Ok(answer) => {
                self.taken = self.taken.max(Some(len));
                self.add(answer);
                Ok(Said::Taken)
            }
            Err(refusal) if refusal.is_retryable() => Err(refusal),
            Err(refusal) if may_be_for_size(&refusal, len) => {
                if let [only] = part {
                    if self.oversize == Oversize::Refused {
                        return Err(refusal);
                    }
                    self.stuck.push(*only);
                    self.too_large = Some((len, refusal));
                }
                Ok(Said::TooLarge)
            }
            Err(refusal) => {
                if refusal.may_be_for_size() {
                    self.pointless = Some(refusal.clone());
                }
                self.refuse(part, refusal);
                Ok(Said::Refused)
            }
        }
    }

    /// One item was too large. Finds out which others are, by asking for one of medium size again and again: with
    /// a large resource around them all may be, and there may be very many.
    async fn sort_out(&mut self) -> Result<(), Refusal> {
        let waiting = self.waiting.iter().flatten();
        let mut waiting: Vec<_> = waiting.map(|index| (self.alone(*index), *index)).collect();
        waiting.sort_unstable();
        let mut asked = Vec::new();
        loop {
            let sure = self.taken.unwrap_or_default().max(TAKEN_BY_ALL);
            waiting.retain(|(len, _)| *len > sure && !self.is_known(*len));
            let Some((_, middle)) = waiting.get(waiting.len() / 2).copied() else {
                break;
            };
            let said = self.ask(&[middle]).await?;
            asked.push(middle);
            waiting.retain(|(_, index)| *index != middle);
            if said == Said::Refused {
                break;
            }
        }
        self.take_out(|index| asked.contains(&index));
        let mut too_large = Vec::new();
        for index in self.waiting.iter().flatten() {
            if self.is_known(self.alone(*index)) {
                too_large.push(*index);
            }
        }
        too_large.sort_unstable();
        self.take_out(|index| too_large.binary_search(&index).is_ok());
        self.stuck.append(&mut too_large);
        Ok(())
    }

    /// How large an item is with what stands around it.
    fn alone(&self, index: usize) -> usize {
        self.items.len_of(&[index])
    }

    /// Whether what is so large is known to be too large.
    fn is_known(&self, len: usize) -> bool {
        let too_large = self.too_large.as_ref();
        too_large.is_some_and(|(least, _)| len >= *least)
    }

    fn halve(&mut self, mut part: Vec<usize>) {
        let second = part.split_off(part.len() / 2);
        self.waiting.extend([second, part]);
    }

    /// These wait no more.
    fn take_out(&mut self, is_out: impl Fn(usize) -> bool) {
        for part in &mut self.waiting {
            part.retain(|index| !is_out(*index));
        }
        self.waiting.retain(|part| !part.is_empty());
    }

    fn refuse(&mut self, part: &[usize], refusal: Refusal) {
        let rejected = part.iter().map(|index| self.items.weight(*index)).sum();
        self.add(Answer::rejecting(rejected, &refusal.to_string()));
        self.refused.get_or_insert(refusal);
    }

    fn add(&mut self, answer: Answer) {
        let before = std::mem::take(&mut self.answer);
        self.answer = before.and(answer);
    }

    fn end(self) -> Result<Sent, Refusal> {
        if self.taken.is_none() {
            // Nothing shows that a smaller one would have been taken.
            if let Some(refusal) = self.pointless {
                return Err(refusal);
            }
            match (&self.too_large, self.refused) {
                (None, Some(refusal)) => return Err(refusal),
                (Some((_, refusal)), _) if !refusal.is_for_size() => return Err(refusal.clone()),
                _ => {}
            }
        }
        let refusal = self.too_large.map(|(_, refusal)| refusal);
        let stuck = refusal.map(|refusal| Stuck::each(self.items, self.stuck, &refusal));
        Ok(Sent {
            answer: self.answer,
            stuck: stuck.unwrap_or_default(),
        })
    }
}
