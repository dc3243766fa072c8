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
            // Its last words may still be on the way.
            long end = Environment.TickCount64 + (PauseMilliseconds * 5);
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
        if (!_isOrdered)
        {
            TellTarget(reason);
            GoOn(_stop.IsAsked ? MigrationPhase.Cancelled : MigrationPhase.Failed, reason);
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

    /// <summary>The connection was lost between the order to run and the target's word: asks until somebody answers.</summary>
    private void Ask(string reason)
    {
        _progress.Enter(MigrationPhase.Asking);
        long end = Environment.TickCount64 + (long)_options.AskingTime.TotalMilliseconds;
        string last = "";
        do
        {
            try
            {
                switch (AskOnce())
                {
                    case HandOverDecision.Running:
                        NoteDowntime();
                        _progress.End(MigrationPhase.Completed, GuestPlace.There, null);
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
        }
        while (Environment.TickCount64 < end && !_stop.Wait(TimeSpan.FromMilliseconds(PauseMilliseconds)));
        _progress.End(
            MigrationPhase.Unknown,
            GuestPlace.Unknown,
            $"{reason}; the order to run had been sent, and the target does not say whether the guest runs there ({last}). It is paused here: "
            + "look at the target, then let it go on here with vm.resume only if it does not run there, or end this VMM");
    }

    private HandOverDecision AskOnce()
    {
        using MigrationLink link = _connect(static () => false);
        link.Patience = (int)_options.GreetingPatience.TotalMilliseconds;
        SayHello(new FrameWriter(link.Stream), 0, isQuestion: true);
        var reader = new FrameReader(link.Stream);
        reader.ReadMagic();
        Frame answer = reader.Read();
        return answer.Type == FrameType.Answer && answer.Payload.Length == 1
            ? (HandOverDecision)answer.Payload.FirstSpan[0]
            : throw new MigrationException($"the target answers with {answer.Type}");
    }
}
