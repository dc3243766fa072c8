using Cnvm.Linux;

namespace Cnvm.Vmm.Migration;

// What becomes of the guest when something fails.
internal sealed partial class MigrationSource
{
    private const int PauseMilliseconds = 200;
    private const int MomentMilliseconds = 2000;

    /// <summary>What to tell people. A peer that closes has usually said why.</summary>
    private string Reason(Exception e)
    {
        if (e is OperationCanceledException)
        {
            return _stop.Reason ?? "it was given up";
        }

        if (e is IOException && _replies is not null)
        {
            // Its last words may still be on the way. Once the order has gone they say what became of the guest; and a connection may be dead
            // in one direction only.
            long end = Environment.TickCount64 + (_late is not null && _isOrdered ? (long)_options.Patience.TotalMilliseconds : PauseMilliseconds * 5);
            try
            {
                while (Environment.TickCount64 < end && !_stop.Wait(TimeSpan.FromMilliseconds(PauseMilliseconds / 10)))
                {
                    _replies.ThrowIfFailed();
                }
            }
            catch (MigrationException said)
            {
                return said.Message;
            }
        }

        return e is IOException ? $"the connection to the target failed: {e.Message}" : e.Message;
    }

    private void Recover(string reason)
    {
        StopTracking();
        if (_returned is { } returned)
        {
            GoOn(MigrationPhase.Failed, returned);
        }
        else if (_hasHandedOver)
        {
            _progress.End(MigrationPhase.PostcopyLost, GuestPlace.There, $"{reason}; what the target has not of the guest's memory is lost with this VMM");
        }
        else if (!_isOrdered)
        {
            TellTarget(reason);
            if (_isBuiltAround && WhyNotDiscarded() is { } why)
            {
                KeepPaused($"{reason}; {why}");
                return;
            }

            GoOn(_stop.IsAsked ? MigrationPhase.Cancelled : MigrationPhase.Failed, reason);
        }
        else if (_replies!.Refusal is not null && _guest.MemoryDescriptors is not null && !HasNeverStarted())
        {
            // It has the guest's memory, and may have written to it before it failed.
            KeepPaused($"{reason}; the target had taken the memory over, and may have let the guest run for a moment");
        }
        else if (_replies!.Refusal is not null)
        {
            GoOn(MigrationPhase.Failed, reason);
        }
        else
        {
            Ask(reason);
        }
    }

    /// <summary>A target that has failed says whether the order to run had reached it: if it had not, nothing has written the memory that it was handed.</summary>
    private bool HasNeverStarted()
    {
        try
        {
            return AskOnce() == HandOverDecision.Discarded;
        }
        catch (Exception e) when (e is MigrationException or IOException or OperationCanceledException)
        {
            // Nobody says so.
            return false;
        }
    }

    /// <summary>The target does not run the guest: it goes on here.</summary>
    private void GoOn(MigrationPhase phase, string reason)
    {
        if (_isStopped)
        {
            _isStopped = false;
            try
            {
                _guest.GoOn();
            }
            catch (MigrationException e)
            {
                reason = $"{reason}; and the guest cannot go on here: {e.Message}";
            }
        }

        _progress.End(phase, GuestPlace.Here, reason);
    }

    private void TellTarget(string reason)
    {
        try
        {
            _writer?.WriteReason(FrameType.Cancel, reason);

            // Closed at once, the connection might take the message with it.
            _link?.CloseWriting();
            _replies?.WaitForEnd(TimeSpan.FromMilliseconds(MomentMilliseconds));
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // Without a connection it finds out by itself.
            return;
        }
    }

    /// <summary>
    /// Whether the target still has the memory that it was handed, and may write it; null: no. It says Failed, or closes the connection,
    /// only when it has taken its machine apart, and for a process that is gone the kernel closes it.
    /// </summary>
    private string? WhyNotDiscarded()
    {
        // Half of a message may be on its way, which nobody ends.
        _link!.CloseWriting();
        long end = Environment.TickCount64 + (long)_options.AskingTime.TotalMilliseconds;
        while (!_replies!.WaitForEnd(TimeSpan.FromMilliseconds(PauseMilliseconds)) && !_stop.IsEnding && Environment.TickCount64 < end)
        {
        }

        return _replies.Refusal is not null || _link.WaitForClose(TimeSpan.FromMilliseconds(end - Environment.TickCount64), () => _stop.IsEnding)
            ? null
            : "the target has been handed the memory, and does not say that it has let go of it";
    }

    /// <summary>
    /// The connection was lost between the order to run and the target's word: asks until somebody answers. While pages are kept that the
    /// target may need, without an end: only a cancellation ends the asking then, and none ends the serving of a guest that runs there.
    /// </summary>
    private void Ask(string reason)
    {
        _progress.Set(i => i with { Phase = MigrationPhase.Asking, Error = null });
        long end = Environment.TickCount64 + (long)_options.AskingTime.TotalMilliseconds;
        string last = "";
        do
        {
            try
            {
                switch (AskOnce())
                {
                    // Starting there, it may wait for a page already.
                    case HandOverDecision.Starting when _late is not null:
                        FinishAfterAsking(reason);
                        return;
                    case HandOverDecision.Running:
                        _hasStarted = true;
                        FinishAfterAsking(reason);
                        return;
                    case HandOverDecision.Discarded:
                        GoOn(MigrationPhase.Failed, $"{reason}; the target says that the guest does not run there");
                        return;
                    case HandOverDecision.Unknown:
                        last = "whoever listens there knows nothing of it";
                        break;
                }
            }
            catch (Exception e) when (e is MigrationException or IOException)
            {
                last = e.Message;
            }
            catch (OperationCanceledException)
            {
                // This VMM ends, and the asking below with it.
                last = _stop.Reason!;
            }

            _progress.Set(i => i with { Error = $"{reason}; the target is asked whether the guest runs there ({last})" });
        }
        while ((_late is not null || Environment.TickCount64 < end) && !_stop.Wait(TimeSpan.FromMilliseconds(PauseMilliseconds)));
        KeepPaused($"{reason}; the order to run had been sent, and the target does not say whether the guest runs there ({last})");
    }

    private void FinishAfterAsking(string reason)
    {
        NoteDowntime();
        if (_late is null || PostcopyAfterAsking(reason))
        {
            _progress.End(MigrationPhase.Completed, GuestPlace.There, null);
        }
    }

    private void KeepPaused(string reason) => _progress.End(
        MigrationPhase.Unknown,
        GuestPlace.Unknown,
        $"{reason}. It is paused here: look at the target, then let it go on here with vm.resume only if it does not run there, or end this VMM"
            + (_late is null ? "" : "; vm.send-migration with resume asks again, and sends the memory that is missing there"));

    private HandOverDecision AskOnce()
    {
        // A VMM that ends has no use for an answer, and its guest must not begin to run again for a moment.
        ThrowIfEnding();
        using MigrationLink link = ConnectAgain();
        link.Patience = (int)_options.GreetingPatience.TotalMilliseconds;
        link.GiveUpReadsWhen(() => _stop.IsEnding);
        SayHello(new FrameWriter(link.Stream), 0, isQuestion: true);
        var reader = new FrameReader(link.Stream);
        reader.ReadMagic();
        Frame answer = reader.Read(MigrationWire.FirstBytes);
        return answer.Type == FrameType.Answer && answer.Payload.Length == 1
            ? (HandOverDecision)answer.Payload.FirstSpan[0]
            : throw new MigrationException($"the target answers with {answer.Type}");
    }
}
