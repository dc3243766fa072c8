using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.CommandLine;

namespace Cnvm.VmmProgram;

/// <summary>
/// Writes what happens as a stream of JSON objects with an empty line after each, in Cloud Hypervisor's form. A thread of its own
/// writes, so that a reader that does not read holds up nobody; what such a reader misses is bounded and then lost.
/// </summary>
internal sealed class EventMonitor : IDisposable
{
    private const int MaxWaiting = 1024;
    private const int StackBytes = 256 << 10;
    private static readonly JsonWriterOptions Pretty = new() { Indented = true };
    private readonly FileDescriptor _target;
    private readonly FileStream? _file;
    private readonly long _started;
    private readonly Queue<byte[]> _waiting = new();
    private readonly object _gate = new();
    private readonly Thread _thread;
    private bool _ending;

    /// <param name="started">Timestamp of the process's start (<see cref="Stopwatch.GetTimestamp"/>); events are dated from there.</param>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public EventMonitor(PathOrFd where, long started)
    {
        _started = started;
        if (where.Path is { } path)
        {
            _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            if (_file.CanSeek)
            {
                _file.SetLength(0);
            }

            _target = new FileDescriptor(-1);
        }
        else
        {
            _target = new FileDescriptor(where.Fd!.Value);
        }

        _thread = new Thread(Run, StackBytes) { Name = "event-monitor", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Queues an event; never blocks. Any thread.</summary>
    public void Add(VmmEvent happened)
    {
        byte[] text = Format(happened, Stopwatch.GetElapsedTime(_started));
        lock (_gate)
        {
            if (!_ending && _waiting.Count < MaxWaiting)
            {
                _waiting.Enqueue(text);
                Monitor.Pulse(_gate);
            }
        }
    }

    /// <summary>Writes what is queued, for a moment at most, and closes the file.</summary>
    public void Dispose()
    {
        const int PatienceMilliseconds = 200;
        lock (_gate)
        {
            _ending = true;
            Monitor.Pulse(_gate);
        }

        if (_thread.Join(PatienceMilliseconds))
        {
            _file?.Dispose();
            _target.Dispose();
        }
    }

    internal static byte[] Format(VmmEvent happened, TimeSpan sinceStart)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, Pretty))
        {
            json.WriteStartObject();
            json.WriteStartObject("timestamp");
            json.WriteNumber("secs", (long)sinceStart.TotalSeconds);
            json.WriteNumber("nanos", sinceStart.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick);
            json.WriteEndObject();
            json.WriteString("source", happened.Source);
            json.WriteString("event", happened.Name);
            if (happened.Properties is { } properties)
            {
                json.WriteStartObject("properties");
                foreach ((string key, string value) in properties)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }
            else
            {
                json.WriteNull("properties");
            }

            json.WriteEndObject();
        }

        buffer.Write("\n\n"u8);
        return buffer.ToArray();
    }

    private void Run()
    {
        NativeThread.ShowName();
        while (Take() is { } text)
        {
            Write(text);
        }
    }

    private byte[]? Take()
    {
        lock (_gate)
        {
            byte[]? text;
            while (!_waiting.TryDequeue(out text) && !_ending)
            {
                Monitor.Wait(_gate);
            }

            return text;
        }
    }

    private void Write(ReadOnlySpan<byte> text)
    {
        try
        {
            if (_file is not null)
            {
                _file.Write(text);
                return;
            }
        }
        catch (IOException)
        {
            // The reader is gone or the disk is full: events are lost, the virtual machine goes on.
            return;
        }

        while (text.Length > 0)
        {
            int written = FileIo.Write(_target.Value, text);
            if (written <= 0)
            {
                return;
            }

            text = text[written..];
        }
    }
}
