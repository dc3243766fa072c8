using System.Buffers;
using System.Diagnostics;
using System.Text;
using Cnvm.Hypervisor.Memory;

namespace Cnvm.Vmm.Migration;

// The guest runs at the target; pages that it has not follow, those that it waits for first.
internal sealed partial class MigrationSource
{
    private const int RetryMilliseconds = 1000;
    private const int NewsMilliseconds = 200;

    // The target's word, as far as there is one: a page that is in here has not gone, or has been lost with a connection.
    private DirtyBitmap? _late;
    private PageSender? _lateSender;
    private Func<Func<bool>, MigrationLink>? _connectNow;
    private bool _switches;
    private bool _hasHandedOver;

    // The target has said that it runs the guest.
    private bool _hasStarted;
    private bool _compress;
    private ulong _sentBefore;
    private ulong _dataBefore;
    private ulong _bytesBefore;

    // The target had the order to run, could not carry it out, and has said that the guest does not run there.
    private string? _returned;

    /// <summary>Told the names of events.</summary>
    public Action<string> OnPostcopy { get; set; } = static _ => { };

    /// <summary>The guest runs there, and the connection is lost.</summary>
    public bool IsLost => _progress.Phase == MigrationPhase.PostcopyLost;

    /// <summary>The order to run has gone, nobody says what became of it, and it is asked on until somebody ends that.</summary>
    public bool IsAskingOn => KeepsPages && _progress.Phase == MigrationPhase.Asking;

    /// <summary>The target may lack pages that only the guest here still has.</summary>
    public bool KeepsPages => Volatile.Read(ref _late) is not null;

    /// <summary>After <see cref="IsLost"/>, while <see cref="IsAskingOn"/>, and before <see cref="AskAgain"/>: where the target is now.</summary>
    public void ContinueAt(Func<Func<bool>, MigrationLink> connect) => Volatile.Write(ref _connectNow, connect);

    /// <summary>After a <see cref="Run"/> that ended with nobody's answer, while the guest has not gone on here: asks once more, and serves what is wanted.</summary>
    public void AskAgain() => Finish(() => Ask("it had ended with nobody's answer"));

    /// <param name="diskMilliseconds">How long the disks would keep the guest standing still.</param>
    private bool MaySwitch(bool isWhole, double diskMilliseconds) => diskMilliseconds <= _limits.DowntimeMs && _options.Postcopy switch
    {
        PostcopyUse.AfterFirstRound => IsLate || isWhole,
        PostcopyUse.AfterTimeout => IsLate,
        _ => false,
    };

    /// <summary>Instead of the last round: the disks, and which pages are missing.</summary>
    private void SendMissing(DepartingContents contents)
    {
        SendRound(goesOn => contents.SendDisks(goesOn), contents, () => GoesOn(_stop.Reason is null));
        MissingFrame.Write(_writer!, contents.Pages.Regions, contents.Pages.Words);
        Volatile.Write(ref _late, contents.Pages);
        _lateSender = new PageSender(_writer!, _guest.Memory, _compress);
        _progress.Set(i => i with { RemainingBytes = (ulong)contents.Pages.CountPages() * MigrationWire.PageBytes });
    }

    /// <summary>Waits for a message; pages that the target asks for meanwhile are sent, and make the wait no longer.</summary>
    private void WaitServing(FrameType type, Func<bool> isGivenUp)
    {
        if (_late is null)
        {
            _replies!.Wait(type, _options.Patience, isGivenUp);
            return;
        }

        long started = Stopwatch.GetTimestamp();
        while (true)
        {
            if (isGivenUp())
            {
                throw new OperationCanceledException();
            }

            if (Stopwatch.GetElapsedTime(started) > _options.Patience)
            {
                throw new MigrationException($"the target does not answer: no {type} for {_options.Patience.TotalSeconds:0} s");
            }

            if (_replies!.Next(TimeSpan.FromMilliseconds(NewsMilliseconds)) is not { } news)
            {
                continue;
            }

            if (news.Want is { } gpa)
            {
                Serve(gpa);
            }
            else if (news.Reply.Type == type)
            {
                _hasStarted |= type == FrameType.Running;
                return;
            }
            else if (!IsLateStart(news.Reply.Type))
            {
                throw new MigrationException($"the target sent {news.Reply.Type} where {type} should come");
            }
        }
    }

    /// <summary>The guest has started behind a connection that was lost meanwhile: its word comes over the next one.</summary>
    private bool IsLateStart(FrameType type) => type == FrameType.Running && _hasHandedOver && (_hasStarted = true);

    private void Serve(ulong gpa)
    {
        if (gpa % MigrationWire.PageBytes != 0 || !_guest.Memory.Contains(gpa, MigrationWire.PageBytes))
        {
            throw new MigrationException($"the target asks for 0x{gpa:x}, which is no page of the guest");
        }

        _lateSender!.SendBlock(_late!, gpa);
        _progress.Set(i => i with { PostcopyFaults = i.PostcopyFaults + 1 });
        NoteLate();
    }

    /// <summary>Sends everything, over as many connections as it takes.</summary>
    /// <param name="lost">Why the first one is lost; null if it is not.</param>
    /// <exception cref="OperationCanceledException">This VMM ends, or the guest is back.</exception>
    private void Postcopy(string? lost)
    {
        _hasHandedOver = true;
        StopTracking();
        _progress.Set(i => i with { Phase = MigrationPhase.Postcopy, Guest = GuestPlace.There, ExpectedDowntimeMs = null });
        OnPostcopy("migration-postcopy-started");
        while (lost is null || !Reconnect(lost))
        {
            try
            {
                Push();
                break;
            }
            catch (Exception e) when (e is MigrationException or IOException)
            {
                lost = Reason(e);
            }
        }

        Confirm();
        OnPostcopy("postcopy-migration-completed");
    }

    /// <summary>The target has all of the memory. If it has not said that the guest runs, it may still fail to start it: asks until it says which.</summary>
    /// <exception cref="OperationCanceledException">This VMM ends, or the guest is back.</exception>
    private void Confirm()
    {
        while (!_hasStarted)
        {
            try
            {
                switch (AskOnce())
                {
                    case HandOverDecision.Running:
                        _hasStarted = true;
                        _progress.Set(i => i with { Phase = MigrationPhase.Postcopy, Error = null });
                        return;
                    case HandOverDecision.Discarded:
                        throw Returned("the target could not start it");
                    default:
                        TellLost("the target has all of the memory, and does not say that the guest runs", null);
                        break;
                }
            }
            catch (Exception e) when (e is MigrationException or IOException)
            {
                TellLost("the target has all of the memory, and does not say that the guest runs", e.Message);
            }

            if (_stop.WaitForEnd(TimeSpan.FromMilliseconds(NewsMilliseconds)))
            {
                throw new OperationCanceledException();
            }
        }
    }

    /// <summary>The guest does not run at the target and never has: it is this side's again.</summary>
    private OperationCanceledException Returned(string said)
    {
        _returned = $"{said}; the guest does not run there";
        return new OperationCanceledException(_returned);
    }

    /// <summary>False if this VMM ends before the guest has all of its memory; the progress then says so.</summary>
    private bool PostcopyAfterAsking(string reason)
    {
        try
        {
            Postcopy(reason);
            return true;
        }
        catch (OperationCanceledException e)
        {
            Recover(Reason(e));
            return false;
        }
    }

    private void Push()
    {
        while (true)
        {
            ThrowIfEnding();
            if (_replies!.Next(TimeSpan.Zero) is { } news)
            {
                Take(news);
                continue;
            }

            if (_late!.CountPages() == 0)
            {
                break;
            }

            // Pages that somebody waits for go at once, whatever the limit says of the others.
            Pace(isPatient: false);
            if (TimeToPace() is var time && time > TimeSpan.Zero)
            {
                if (_replies.Next(TimeSpan.FromMilliseconds(Math.Min(time.TotalMilliseconds, NewsMilliseconds))) is { } urgent)
                {
                    Take(urgent);
                }

                continue;
            }

            _lateSender!.Send(_late, () =>
            {
                NoteLate();
                return !_replies.HasNews && !_stop.IsEnding && TimeToPace() == TimeSpan.Zero;
            });
            NoteLate();
        }

        _writer!.Write(FrameType.LastPage);
        WaitServing(FrameType.Complete, () => _stop.IsEnding);
        _progress.Set(i => i with { RemainingBytes = 0 });

        void Take((ulong? Want, MigrationReply Reply) news)
        {
            if (news.Want is { } gpa)
            {
                Serve(gpa);
            }
            else if (!IsLateStart(news.Reply.Type))
            {
                throw new MigrationException($"the target sent {news.Reply.Type} while pages are missing");
            }
        }
    }

    private void NoteLate()
    {
        ulong data = (ulong)_lateSender!.DataPages;
        ulong all = data + (ulong)_lateSender.ZeroPages;
        ulong sent = all - _sentBefore;
        ulong zeros = sent - Math.Min(sent, data - Math.Min(data, _dataBefore));
        _sentBefore = all;
        _dataBefore = data;
        _progress.Set(i => i with
        {
            DataPages = i.DataPages + (sent - zeros),
            ZeroPages = i.ZeroPages + zeros,
            RemainingBytes = i.RemainingBytes - Math.Min(i.RemainingBytes, sent * MigrationWire.PageBytes),
            TransferredBytes = _bytesBefore + (ulong)_writer!.Bytes,
        });
    }

    /// <summary>Connects to the target, which says what it has not; true if it has everything.</summary>
    private bool Reconnect(string reason)
    {
        _bytesBefore += (ulong)_writer!.Bytes;
        _replies!.Dispose();
        _link!.Dispose();
        TellLost(reason, null);
        OnPostcopy("migration-postcopy-lost");
        for (int milliseconds = NewsMilliseconds; ; milliseconds = RetryMilliseconds)
        {
            if (_stop.WaitForEnd(TimeSpan.FromMilliseconds(milliseconds)))
            {
                throw new OperationCanceledException();
            }

            MigrationLink? link = null;
            try
            {
                link = ConnectAgain();
                bool isComplete = Continue(link);
                _progress.Set(i => i with { Phase = MigrationPhase.Postcopy, Error = null });
                OnPostcopy("migration-postcopy-recovered");
                return isComplete;
            }
            catch (Exception e) when (e is MigrationException or IOException)
            {
                link?.Dispose();
                TellLost(reason, e.Message);
            }
            catch (OperationCanceledException)
            {
                link?.Dispose();
                throw;
            }
        }
    }

    private MigrationLink ConnectAgain() => (Volatile.Read(ref _connectNow) ?? _connect)(() => _stop.IsEnding);

    private void TellLost(string reason, string? last) => _progress.Set(i => i with
    {
        Phase = MigrationPhase.PostcopyLost,
        Error = $"post-copy: connection lost, waiting ({reason}); the guest runs at the target until it needs a page that is missing there. This VMM keeps them "
            + "and connects again every second; vm.send-migration with resume says where the target is now" + (last is null ? "" : $" (last attempt: {last})"),
    });

    private bool Continue(MigrationLink link)
    {
        link.Patience = (int)_options.GreetingPatience.TotalMilliseconds;
        link.GiveUpWritesWhen(() => _stop.IsEnding);
        link.GiveUpReadsWhen(() => _stop.IsEnding);
        var writer = new FrameWriter(link.Stream);
        writer.WriteMagic();
        writer.Write(FrameType.Continue, _session);
        var reader = new FrameReader(link.Stream);
        reader.ReadMagic();
        var missing = new DirtyBitmap(_guest.Memory.Regions);
        while (true)
        {
            Frame frame = reader.Read(MigrationWire.LimitOf(FrameType.Missing));
            ThrowIfEnding();
            switch (frame.Type)
            {
                case FrameType.Missing:
                    MissingFrame.Read(frame, _guest.Memory, gpa => missing.Mark(gpa, 1));
                    continue;
                case FrameType.Want:
                    // It is among what is missing, and is asked for again behind that.
                    continue;
                case FrameType.Running:
                    _hasStarted = true;
                    continue;
                case FrameType.Failed:
                    string said = $"the target refuses: {Encoding.UTF8.GetString(frame.Payload)}";

                    // A guest that has run there never goes on here: what it did there, to disks and networks, cannot be taken back.
                    throw !_hasStarted && AskOnce() == HandOverDecision.Discarded ? Returned(said) : new MigrationException(said);
                case FrameType.Continued or FrameType.Complete:
                    link.Patience = (int)_options.Patience.TotalMilliseconds;
                    link.WaitForWords();
                    _link = link;
                    _writer = writer;
                    _replies = new ReplyQueue(link, reader);
                    _late = missing;
                    _lateSender = new PageSender(writer, _guest.Memory, _compress);
                    _sentBefore = _dataBefore = 0;
                    _paceStart = 0;
                    _progress.Set(i => i with { RemainingBytes = (ulong)missing.CountPages() * MigrationWire.PageBytes });
                    return frame.Type == FrameType.Complete;
                default:
                    throw new MigrationException($"the target answers with {frame.Type}");
            }
        }
    }

    private void ThrowIfEnding()
    {
        if (_stop.IsEnding)
        {
            throw new OperationCanceledException();
        }
    }
}
