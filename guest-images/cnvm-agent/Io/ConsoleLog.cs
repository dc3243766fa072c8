using System.Diagnostics;
using System.Globalization;
using System.Text;
using Cnvm.Linux;
using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Io;

/// <summary>Lines on the machine's console, which is this program's stderr; each is one write.</summary>
internal sealed class ConsoleLog : ITtrpcLog
{
    private const int Stderr = 2;
    private const int LongestLine = 4096;
    private readonly Lock _lock = new();

    public void CallFailed(Exception reason) => Write($"a call over ttrpc failed: {reason.Message}");

    public void FrameRefused(uint stream, string reason) => Write($"ttrpc: stream {stream} refused, and perhaps others of this connection: {reason}");

    public void ConnectionBroken(string reason) => Write($"ttrpc: connection closed: {reason}");

    /// <summary>No line: callers come and go.</summary>
    public void CallerGone(string reason)
    {
    }

    /// <inheritdoc cref="CallerGone"/>
    public void ConnectionStopped()
    {
    }

    /// <summary>Writes a line; what a peer has named may be in it.</summary>
    public void Write(string text)
    {
        // Whole numbers: the formatting of others would be in the program for this line alone.
        long milliseconds = (long)Stopwatch.GetElapsedTime(0).TotalMilliseconds;
        var line = new StringBuilder(text.Length + 32)
            .Append(CultureInfo.InvariantCulture, $"cnvm-agent: {milliseconds / 1000}.{milliseconds % 1000:D3}s: ");
        foreach (char c in text.Length > LongestLine ? text[..LongestLine] : text)
        {
            line.Append(char.IsControl(c) ? ' ' : c);
        }

        byte[] bytes = Encoding.UTF8.GetBytes(line.Append('\n').ToString());
        lock (_lock)
        {
            // A console that takes nothing costs lines, not containers.
            for (int done = 0; done < bytes.Length;)
            {
                int written = FileIo.Write(Stderr, bytes.AsSpan(done));
                if (written <= 0)
                {
                    return;
                }

                done += written;
            }
        }
    }
}
