using System.Runtime.InteropServices;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm;

// Migrations whose guest goes on at the target while memory is missing there.
public sealed partial class VmmService
{
    private readonly List<Action> _afterArrival = [];

    // Ended with nobody's answer; the target may lack pages that only the guest here has, as long as it does not go on.
    private MigrationSource? _unanswered;

    private static void Refuse(string? why, string field)
    {
        if (why is not null)
        {
            throw new ConfigException(field, why);
        }
    }

    /// <summary>The source of a lost connection is told where the target is now.</summary>
    private void ContinuePostcopy(Func<Func<bool>, MigrationLink> connect)
    {
        if (_source is { } source && (source.IsLost || source.IsAskingOn))
        {
            source.ContinueAt(connect);
        }
        else if (_source is null && _unanswered is { } unanswered && _areDisksUnlocked)
        {
            unanswered.ContinueAt(connect);
            _sourceStop!.Withdraw();
            StartSource(unanswered, _migration!, unanswered.AskAgain);
        }
        else
        {
            throw new VmmException(VmmErrorKind.Internal, "resume: no post-copy migration from here has lost its connection");
        }
    }

    /// <summary>
    /// The guest is given up at a source whose target does not come back: what is kept of its memory goes. Afterwards nothing of a migration is
    /// under way, unless it has just ended well, and this VMM with it.
    /// </summary>
    private void EndServing()
    {
        if (_source is not { IsLost: true } source)
        {
            return;
        }

        LogGivenUp();
        _sourceStop!.End("the guest was given up at the source");

        // A guest that comes back at this very moment is not let go on here: its thread must not wait for this one.
        _isEnding = true;
        _sourceThread!.Join();
        _isEnding = false;
        _afterMigration = null;
        EndSend(source, _migration!.Info());
    }

    /// <summary>This VMM is to end while the source of its guest's memory is not to be had; false if it waits for no such thing.</summary>
    private bool MayEndIncomplete() => _arrival is not null && _target!.IsLost;

    /// <summary>What the guest has asked for while its memory came. On the VMM's thread.</summary>
    private void CarryAfterArrival()
    {
        Action[] actions = [.. _afterArrival];
        _afterArrival.Clear();
        foreach (Action action in actions)
        {
            action();
        }
    }

    /// <summary>
    /// This process ends, and its guest with it: vCPUs and devices that wait for a page must not get another one, so the machine is left to
    /// the end of the process as it is.
    /// </summary>
    private void AbandonPostcopy(MigrationTarget target)
    {
        LogAbandoned();
        target.Abandon();
        _ = GCHandle.Alloc(_machine);
        _machine = null;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the guest is given up while its target lacks memory: if it still runs there, it is lost")]
    private partial void LogGivenUp();

    [LoggerMessage(Level = LogLevel.Error, Message = "the VMM ends while memory of its guest is still at the source: the guest is lost")]
    private partial void LogAbandoned();
}
