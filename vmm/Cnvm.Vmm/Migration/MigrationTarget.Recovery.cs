using Microsoft.Extensions.Logging;

namespace Cnvm.Vmm.Migration;

// The connection is lost while pages are missing: the source comes again.
internal sealed partial class MigrationTarget
{
    /// <summary>The guest waits where pages are missing, until the source is there again; false when this process ends.</summary>
    private bool WaitForLink(string reason)
    {
        _link!.Abort();
        LogPostcopyLost(_logger, reason);
        _progress.Set(i => i with
        {
            Phase = MigrationPhase.PostcopyLost,
            Error = $"post-copy: connection lost, waiting ({reason}); the guest runs until it needs a page that is missing. The source connects again by itself",
        });
        OnPostcopy("migration-postcopy-lost");
        while (true)
        {
            lock (_lateGate)
            {
                while (_nextLink is null && !_isEnding)
                {
                    Monitor.Wait(_lateGate);
                }

                if (_isEnding || _nextLink is not { } next)
                {
                    return false;
                }

                _nextLink = null;

                // Held until what is missing has been named: the source must hear nothing else before.
                _writeGate.Enter();
                _link!.Dispose();
                (_link, _reader, _writer) = next;
            }

            try
            {
                SayWhatIsMissing();
                _progress.Set(i => i with { Phase = MigrationPhase.Postcopy, Error = null });
                OnPostcopy("migration-postcopy-recovered");
                return true;
            }
#pragma warning disable CA1031 // The guest runs here: whatever naming what is missing fails with, the source comes again.
            catch (Exception e)
#pragma warning restore CA1031
            {
                LogPostcopyLost(_logger, e.Message);
                _link!.Abort();
            }
        }
    }

    /// <summary>Over a new connection; leaves <see cref="_writeGate"/>.</summary>
    private void SayWhatIsMissing()
    {
        try
        {
            MissingFrame.Write(_writer!, _memory!.Regions, _late!.Missing.Words);
            _writer!.Write(FrameType.Continued);
        }
        finally
        {
            _writeGate.Exit();
        }

        foreach (ulong gpa in _late!.Missing.Wanted)
        {
            AskFor(gpa);
        }
    }

    /// <summary>A source whose connection was lost is here again, or somebody who says so. On the thread that hears it.</summary>
    /// <param name="isKnown">It knows the session.</param>
    /// <returns>The connection is taken.</returns>
    private bool Continue(HeardLink heard, bool isKnown)
    {
        (MigrationLink link, FrameReader reader, FrameWriter writer) = heard;
        writer.WriteMagic();
        lock (_lateGate)
        {
            if (isKnown && _order is not null && !_isComplete && !_isEnding && _late!.Missing.Count > 0)
            {
                link.Patience = (int)_options.Patience.TotalMilliseconds;
                _nextLink?.Link.Dispose();
                _nextLink = (link, reader, writer);

                // The old one may not know yet that it is lost.
                _link!.Abort();
                Monitor.PulseAll(_lateGate);
                return true;
            }
        }

        bool isDone;
        lock (_lateGate)
        {
            isDone = isKnown && _hasStarted && _late!.Missing.Count == 0;
        }

        if (isDone)
        {
            writer.Write(FrameType.Complete);
        }
        else
        {
            writer.WriteReason(FrameType.Failed, "no guest of this session waits for memory here");
        }

        return false;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "post-copy: the connection to the source is lost, the guest waits where pages are missing: {Reason}")]
    private static partial void LogPostcopyLost(ILogger logger, string reason);
}
