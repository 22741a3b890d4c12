//! The filter manager: how headers, body and trailers pass the filters, and what stopping and resuming does to them.
//!
//! Both directions follow the same rules; a position counts filters in the direction's own order, and behind the last
//! one stands the router (requests) or the client (responses).

use super::World;
use super::filters::{DataStatus, HeadersStatus};
use crate::stream::{Direction, Iteration, StreamRef};
use crate::vm::context::BodyView;

impl World {
    /// Passes headers to the filters from a position on.
    pub(super) fn pass_headers(&self, stream: &StreamRef, way: Direction, start: usize, end: bool) {
        let count = stream.borrow().filters.len();
        for position in start..count {
            if self.is_over(stream, way) {
                return;
            }
            let index = {
                let mut stream = stream.borrow_mut();
                stream.progress(way, position).saw_end = end;
                stream.index(way, position)
            };
            let status = self.filter_headers(stream, index, way, end);
            if self.interrupted(stream, way) {
                return;
            }
            let mut stream = stream.borrow_mut();
            let progress = stream.progress(way, position);
            progress.iteration = match status {
                HeadersStatus::Continue => {
                    // A filter that resumed itself has already passed them on.
                    if std::mem::replace(&mut progress.headers_passed, true) {
                        return;
                    }
                    continue;
                }
                HeadersStatus::StopIteration => Iteration::StopSingle,
                HeadersStatus::StopAllBuffer => Iteration::StopAllBuffer,
                HeadersStatus::StopAllWatermark => Iteration::StopAllWatermark,
            };
            return;
        }
        if !self.is_over(stream, way) {
            self.sink_headers(stream, way, end);
        }
    }

    /// Passes a part of the body (the chunk, or what was kept back) to the filters from a position on.
    pub(super) fn pass_data(
        &self,
        stream: &StreamRef,
        way: Direction,
        start: usize,
        from: BodyView,
        mut end: bool,
    ) {
        let count = stream.borrow().filters.len();
        let mut trailers_added_at = None;
        let mut stopped = false;
        for position in start..count {
            if self.is_over(stream, way) {
                return;
            }
            let Some((index, had_trailers)) = self.enter_data(stream, way, position, from, end) else {
                return;
            };
            let view = self.view_for(stream, index, way, from);
            if self.interrupted(stream, way) {
                return;
            }
            let status = self.filter_data(stream, index, way, view, end && !had_trailers);
            if self.interrupted(stream, way) {
                return;
            }
            let has_trailers = stream.borrow_mut().half(way).trailers.is_some();
            if !had_trailers && has_trailers && trailers_added_at.is_none() {
                (end, trailers_added_at) = (false, Some(position));
            }
            if !self.after_data(stream, way, position, status, from) {
                stopped = true;
                break;
            }
        }
        if stopped || self.is_over(stream, way) {
            return;
        }
        self.sink_data(stream, way, from, end);
        if let Some(position) = trailers_added_at {
            self.pass_trailers(stream, way, position + 1);
        }
    }

    /// `None` if the part goes no further: it is kept back, or not for this filter.
    fn enter_data(
        &self,
        stream: &StreamRef,
        way: Direction,
        position: usize,
        from: BodyView,
        end: bool,
    ) -> Option<(usize, bool)> {
        let progress = *stream.borrow_mut().progress(way, position);
        if progress.stopped_all() {
            self.keep_back(stream, way, from, progress.iteration == Iteration::StopAllWatermark);
            return None;
        }
        if progress.saw_end {
            return None;
        }
        let mut stream = stream.borrow_mut();
        let had_trailers = stream.half(way).trailers.is_some();
        stream.progress(way, position).saw_end = end && !had_trailers;
        Some((stream.index(way, position), had_trailers))
    }

    /// A filter that keeps the body back sees all of it: the part is added before it looks.
    fn view_for(&self, stream: &StreamRef, index: usize, way: Direction, from: BodyView) -> BodyView {
        if !self.is_buffering(stream, index, way) {
            return from;
        }
        self.keep_back(stream, way, from, false);
        BodyView::Buffered
    }

    /// Whether the part goes on to the next filter.
    fn after_data(
        &self,
        stream: &StreamRef,
        way: Direction,
        position: usize,
        status: DataStatus,
        from: BodyView,
    ) -> bool {
        let was_stopped = stream.borrow_mut().progress(way, position).iteration == Iteration::StopSingle;
        match status {
            DataStatus::Continue if was_stopped => {
                self.keep_back(stream, way, from, false);
                self.resume(stream, way, position);
                false
            }
            DataStatus::Continue => true,
            kept => {
                stream.borrow_mut().progress(way, position).iteration = Iteration::StopSingle;
                match kept {
                    DataStatus::StopNoBuffer => self.drop_part(stream, way),
                    _ => self.keep_back(stream, way, from, kept == DataStatus::StopAndWatermark),
                }
                false
            }
        }
    }

    /// The filter has taken the part for itself. If it was the last, resuming must still have an end to tell.
    fn drop_part(&self, stream: &StreamRef, way: Direction) {
        let mut stream = stream.borrow_mut();
        let half = stream.half(way);
        half.chunk.clear();
        if half.complete && half.trailers.is_none() && half.buffered.is_none() {
            half.buffered = Some(Vec::new());
        }
    }

    /// Adds the chunk to what is kept back. Beyond the limit the stream is failed, unless the sender is slowed down.
    fn keep_back(&self, stream: &StreamRef, way: Direction, from: BodyView, slowed: bool) {
        let too_much = {
            let mut stream = stream.borrow_mut();
            let half = stream.half(way);
            if from == BodyView::Chunk {
                let chunk = std::mem::take(&mut half.chunk);
                half.buffered.get_or_insert_default().extend(chunk);
            }
            half.buffered.as_ref().map(Vec::len).unwrap_or(0) > self.options.buffer_limit
        };
        if too_much && !slowed {
            self.refuse_body(stream, way);
        }
    }

    /// Passes trailers to the filters from a position on.
    pub(super) fn pass_trailers(&self, stream: &StreamRef, way: Direction, start: usize) {
        let count = stream.borrow().filters.len();
        for position in start..count {
            if self.is_over(stream, way) || stream.borrow_mut().progress(way, position).stopped_all() {
                return;
            }
            let index = {
                let mut stream = stream.borrow_mut();
                stream.progress(way, position).saw_end = true;
                stream.index(way, position)
            };
            let passes = self.filter_trailers(stream, index, way);
            if self.interrupted(stream, way) {
                return;
            }
            let iteration = stream.borrow_mut().progress(way, position).iteration;
            match (passes, iteration) {
                (true, Iteration::Continue) => {}
                (true, _) => return self.resume(stream, way, position),
                (false, _) => {
                    let mut stream = stream.borrow_mut();
                    let progress = stream.progress(way, position);
                    if progress.iteration == Iteration::Continue {
                        progress.iteration = Iteration::StopSingle;
                    }
                    return;
                }
            }
        }
        if !self.is_over(stream, way) {
            self.sink_trailers(stream, way);
        }
    }

    /// Goes on behind a filter that had stopped the stream: with whatever it kept from those behind it.
    pub(super) fn resume(&self, stream: &StreamRef, way: Direction, position: usize) {
        if self.is_over(stream, way) {
            return;
        }
        let (again, send_headers, headers_only) = {
            let mut stream = stream.borrow_mut();
            let progress = stream.progress(way, position);
            let again = progress.stopped_all();
            progress.iteration = Iteration::Continue;
            let send_headers = !std::mem::replace(&mut progress.headers_passed, true);
            let half = stream.half(way);
            (again, send_headers, half.complete && half.buffered.is_none() && half.trailers.is_none())
        };
        if send_headers {
            self.pass_headers(stream, way, position + 1, headers_only);
        }
        // What a filter has not seen yet while it stopped everything, it sees now.
        let start = if again { position } else { position + 1 };
        let (has_body, had_trailers, complete) = {
            let mut stream = stream.borrow_mut();
            let half = stream.half(way);
            (half.buffered.is_some(), half.trailers.is_some(), half.complete)
        };
        if has_body {
            self.pass_data(stream, way, start, BodyView::Buffered, complete && !had_trailers);
        }
        if had_trailers {
            self.pass_trailers(stream, way, start);
        }
    }

    /// Nothing passes any more in this direction.
    pub(super) fn is_over(&self, stream: &StreamRef, way: Direction) -> bool {
        let mut stream = stream.borrow_mut();
        stream.finished || stream.half(way).aborted
    }

    /// Carries out what a callback has decided about the stream as a whole; true if this pass ends here.
    fn interrupted(&self, stream: &StreamRef, way: Direction) -> bool {
        self.settle(stream);
        self.is_over(stream, way)
    }
}
