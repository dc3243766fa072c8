using System.Globalization;
using System.IO.Pipes;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>
/// A running cnvm-vmm. One thread hears its events and its end; whoever waits for something is told by the first of the two.
/// </summary>
internal sealed class VmmProcess : IAsyncDisposable
{
    private const int StackBytes = 256 << 10;
    private const int MaxMessageBytes = 4000;
    private const int MaxRemembered = 256;
    private const int KillSignal = 9;
    private const int TerminateSignal = 15;
    private const int JoinMilliseconds = 5000;
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);
    private readonly DetachedProcess _process;
    private readonly AnonymousPipeServerStream _events;
    private readonly AnonymousPipeServerStream _messages;
    private readonly TailFile _log;
    private readonly string _logPath;
    private readonly Thread _thread;
    private readonly object _gate = new();
    private readonly List<VmmEvent> _past = [];
    private readonly List<(Func<VmmEvent, bool> Wanted, TaskCompletionSource Source)> _waiting = [];
    private readonly TaskCompletionSource<SandboxEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isExpected;
    private bool _hasMoved;
    private string? _unkept;

    private VmmProcess(DetachedProcess process, AnonymousPipeServerStream events, AnonymousPipeServerStream messages, TailFile log, string logPath)
    {
        _process = process;
        _events = events;
        _messages = messages;
        _log = log;
        _logPath = logPath;
        _thread = new Thread(Listen, StackBytes) { Name = "sandbox-vmm", IsBackground = true };
        _thread.Start();
    }

    public int Id => _process.Id;

    /// <summary>Completes when the process has ended; never fails.</summary>
    public Task<SandboxEnd> Ended => _ended.Task;

    /// <summary>Told of each event, on a thread that must not be kept.</summary>
    public event Action<VmmEvent>? Happened;

    /// <summary>Starts the program.</summary>
    /// <param name="arguments">Without the program's name and the event monitor.</param>
    /// <param name="log">File for what it says, of which the newest <see cref="SandboxFolder.LogLimit"/> bytes are kept; replaced.</param>
    /// <param name="networkNamespace">Path of the namespace that it runs in; null for this process's own.</param>
    /// <param name="inherited">Descriptors that it gets; stay the caller's.</param>
    /// <exception cref="IOException">It cannot be started.</exception>
    public static VmmProcess Start(string program, IReadOnlyList<string> arguments, string log, string? networkNamespace, IReadOnlyList<int> inherited)
    {
        var events = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.None);
        var messages = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.None);
        TailFile? kept = null;
        try
        {
            kept = new TailFile(log, SandboxFolder.LogLimit, mode: UnixFileMode.UserRead | UnixFileMode.UserWrite);
            int descriptor = (int)messages.ClientSafePipeHandle.DangerousGetHandle();
            int monitor = (int)events.ClientSafePipeHandle.DangerousGetHandle();
            string[] words = [VmmProgram.Name, .. arguments, "--event-monitor", string.Create(CultureInfo.InvariantCulture, $"fd={monitor}")];
            DetachedProcess Launch() => DetachedProcess.Start(program, words, descriptor, descriptor, [.. inherited, monitor]);
            DetachedProcess process = networkNamespace is null ? Launch() : NetworkNamespaces.Within(networkNamespace, Launch);
            events.DisposeLocalCopyOfClientHandle();
            messages.DisposeLocalCopyOfClientHandle();
            return new VmmProcess(process, events, messages, kept, log);
        }
        catch
        {
            events.Dispose();
            messages.Dispose();
            kept?.Dispose();
            throw;
        }
    }

    /// <summary>Waits for an event, which may have been before.</summary>
    /// <exception cref="SandboxException">The process ends first.</exception>
    public async Task WaitForAsync(Func<VmmEvent, bool> wanted, CancellationToken cancellation)
    {
        var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_past.Exists(e => wanted(e)))
            {
                return;
            }

            _waiting.Add((wanted, source));
        }

        await Task.WhenAny(source.Task, _ended.Task).WaitAsync(cancellation).ConfigureAwait(false);
        if (!source.Task.IsCompleted)
        {
            throw Gone((await _ended.Task.ConfigureAwait(false)).Reason);
        }
    }

    public static SandboxException Gone(string reason, Exception? inner = null) => new(SandboxErrorKind.Gone, reason, inner);

    /// <summary>From now on the end is no surprise.</summary>
    public void Expect() => Volatile.Write(ref _isExpected, true);

    public void Kill()
    {
        if (!_ended.Task.IsCompleted)
        {
            _process.Signal(KillSignal);
        }
    }

    /// <summary>Whether the process ends in this time.</summary>
    public async Task<bool> EndsWithinAsync(TimeSpan time)
    {
        try
        {
            await _ended.Task.WaitAsync(time).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Ends the process, which takes its sockets and its entry among the running VMs with it if it is quick enough.</summary>
    public async ValueTask DisposeAsync()
    {
        Expect();
        if (!_ended.Task.IsCompleted)
        {
            _process.Signal(TerminateSignal);
            if (!await EndsWithinAsync(Grace).ConfigureAwait(false))
            {
                Kill();
            }
        }

        await _ended.Task.ConfigureAwait(false);
        if (_thread.Join(JoinMilliseconds))
        {
            _process.Dispose();
            _events.Dispose();
            _messages.Dispose();
            _log.Dispose();
        }
    }

    private void Listen()
    {
        var parser = new VmmEventParser();
        byte[] buffer = new byte[16 << 10];
        int pipe = (int)_events.SafePipeHandle.DangerousGetHandle();
        int said = (int)_messages.SafePipeHandle.DangerousGetHandle();
        PollEntry[] entries =
        [
            new() { Fd = _process.Fd, Events = PollEntry.In }, new() { Fd = pipe, Events = PollEntry.In }, new() { Fd = said, Events = PollEntry.In },
        ];
        string? fault = null;
        while (true)
        {
            Poll.Wait(entries, -1);
            bool hasMore = false;
            if (entries[2].Returned != 0)
            {
                int length = FileIo.Read(said, buffer);
                if (length > 0)
                {
                    Keep(buffer.AsSpan(0, length));
                    hasMore = true;
                }
                else
                {
                    entries[2].Fd = -1;
                }
            }

            if (entries[1].Returned != 0)
            {
                int count = FileIo.Read(pipe, buffer);
                if (count > 0)
                {
                    try
                    {
                        parser.Add(buffer.AsSpan(0, count)).ForEach(Take);
                        continue;
                    }
                    catch (SandboxException e)
                    {
                        fault = e.Message;
                        _process.Signal(KillSignal);
                    }
                }

                // No more events: what is left is the end.
                entries[1].Fd = -1;
            }

            // Its end comes after all that it has said.
            if (!hasMore && entries[0].Returned != 0)
            {
                End(_process.ExitCode() ?? 0, fault);
                return;
            }
        }
    }

    // A full disk costs messages, and not the virtual machine.
    private void Keep(ReadOnlySpan<byte> said)
    {
        try
        {
            _log.Append(said);
        }
        catch (IOException e)
        {
            _unkept ??= e.Message;
        }
    }

    private void Take(VmmEvent happened)
    {
        _hasMoved |= happened is { Source: "vm", Name: "migration-finished" };
        List<TaskCompletionSource> told = [];
        lock (_gate)
        {
            if (_past.Count < MaxRemembered)
            {
                _past.Add(happened);
            }

            for (int i = _waiting.Count - 1; i >= 0; i--)
            {
                if (_waiting[i].Wanted(happened))
                {
                    told.Add(_waiting[i].Source);
                    _waiting.RemoveAt(i);
                }
            }
        }

        told.ForEach(s => s.TrySetResult());
        Happened?.Invoke(happened);
    }

    private void End(int exitCode, string? fault)
    {
        bool expected = Volatile.Read(ref _isExpected);
        string how = _hasMoved ? "its VM has moved, and runs where it was moved to"
            : expected ? "the sandbox was ended"
            : exitCode > 128 ? string.Create(CultureInfo.InvariantCulture, $"{VmmProgram.Name} (process {Id}) was killed by signal {exitCode - 128}")
            : string.Create(CultureInfo.InvariantCulture, $"{VmmProgram.Name} (process {Id}) ended with exit code {exitCode}");
        string said = fault ?? LastWords();
        _ended.TrySetResult(new SandboxEnd(exitCode, said.Length == 0 || expected || _hasMoved ? how : $"{how}: {said}", expected) { HasMoved = _hasMoved });
    }

    /// <summary>The end of what it said.</summary>
    private string LastWords()
    {
        if (_unkept is not null)
        {
            return $"its last messages could not be kept: {_unkept}";
        }

        try
        {
            using FileStream log = new(_logPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            log.Position = Math.Max(0, log.Length - MaxMessageBytes);
            byte[] words = new byte[MaxMessageBytes];
            int count = log.ReadAtLeast(words, words.Length, throwOnEndOfStream: false);
            return Encoding.UTF8.GetString(words, 0, count).Trim();
        }
        catch (IOException e)
        {
            return $"its messages cannot be read: {e.Message}";
        }
    }
}
