using Cnvm.Linux;

namespace Cnvm.Vmm.Consoles;

/// <summary>
/// The host's end of a guest console: a terminal, pseudo-terminal, file or socket. Guest output never blocks a vCPU: what the
/// host does not take at once waits in a buffer, and when that is full the guest device is told that nothing was accepted
/// (<see cref="LosesOutput"/> consoles drop instead, because nobody may be listening). Input that the guest has no room for waits
/// too, and is not read from the host meanwhile.
/// </summary>
public abstract class HostConsole : IDisposable
{
    private const int OutputCapacity = 64 * 1024;
    private const int InputChunk = 256;

    // As much as one write may hand to the host directly: a terminal or pipe that polls writable takes this without blocking.
    private const int DirectChunk = 256;

    private readonly Lock _gate = new();
    private readonly EventFd _wake = new();
    private readonly byte[] _output = new byte[OutputCapacity];
    private readonly byte[] _input = new byte[InputChunk];
    private readonly PollEntry[] _polled = new PollEntry[4];
    private readonly PollEntry[] _probe = new PollEntry[1];
    private readonly Thread _thread;
    private ConsoleInput? _receiver;
    private Action? _outputSpace;
    private int _head;
    private int _count;
    private int _inputStart;
    private int _inputEnd;
    private bool _inputBlocked;
    private bool _outputRefused;
    private bool _ending;

    /// <param name="name">Thread name.</param>
    protected HostConsole(string name) => _thread = new Thread(Main, 128 * 1024) { Name = name, IsBackground = true };

    /// <summary>Held while output is written. Who replaces the descriptors holds it too.</summary>
    protected Lock Gate => _gate;

    /// <summary>Descriptor that input comes from; -1 for none now.</summary>
    protected abstract int InputFd { get; }

    /// <summary>Descriptor that output goes to; -1 for none now.</summary>
    protected abstract int OutputFd { get; }

    /// <summary>A third descriptor to wait for (a listening socket); -1 for none.</summary>
    protected virtual int ListenFd => -1;

    /// <summary>Output that does not fit is dropped rather than refused.</summary>
    protected virtual bool LosesOutput => false;

    /// <summary>Path of the device or socket that a person opens; null if there is none.</summary>
    public virtual string? Path => null;

    /// <summary>
    /// Connects the guest device of the machine that is being built; null callbacks disconnect it. Callbacks run on the console's
    /// thread.
    /// </summary>
    /// <param name="receiver">Gets input.</param>
    /// <param name="outputSpace">Told once there is room again after <see cref="Write"/> took less than offered.</param>
    public void Connect(ConsoleInput? receiver, Action? outputSpace)
    {
        lock (_gate)
        {
            _receiver = receiver;
            _outputSpace = outputSpace;
            _inputBlocked = false;
        }

        _wake.Signal();
    }

    /// <summary>Starts the console's thread; once.</summary>
    public void Start() => _thread.Start();

    /// <summary>Takes guest output; returns how many bytes it took. Any thread; never blocks; allocates nothing.</summary>
    public int Write(ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            int taken = 0;
            if (_count == 0)
            {
                taken = WriteDirectly(data);
            }

            int buffered = Math.Min(data.Length - taken, OutputCapacity - _count);
            for (int i = 0; i < buffered; i++)
            {
                _output[(_head + _count + i) % OutputCapacity] = data[taken + i];
            }

            _count += buffered;
            taken += buffered;
            if (LosesOutput)
            {
                taken = data.Length;
            }

            _outputRefused |= taken < data.Length;
            if (buffered > 0)
            {
                _wake.Signal();
            }

            return taken;
        }
    }

    /// <summary>The guest device has room for input again. Any thread.</summary>
    public void ResumeInput()
    {
        lock (_gate)
        {
            if (!_inputBlocked)
            {
                return;
            }

            _inputBlocked = false;
        }

        _wake.Signal();
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_ending)
            {
                return;
            }

            _ending = true;
        }

        _wake.Signal();
        if (!_thread.ThreadState.HasFlag(ThreadState.Unstarted))
        {
            _thread.Join();
        }

        Close();
        _wake.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes to <see cref="OutputFd"/>, which takes something; the gate is held.</summary>
    /// <returns>Bytes written, or minus the error number.</returns>
    protected virtual int WriteOutput(int fd, ReadOnlySpan<byte> data) => FileIo.Write(fd, data);

    /// <summary>The third descriptor is ready. Runs on the console's thread.</summary>
    protected virtual void OnListenReady()
    {
    }

    /// <summary>There is no more input. Runs on the console's thread.</summary>
    protected abstract void OnInputEnd();

    /// <summary>The host does not take output any more; what was waiting is lost. Runs on the console's thread.</summary>
    protected abstract void OnOutputFailed();

    /// <summary>Looks at input before the guest does; returns how many bytes at the start remain for the guest.</summary>
    protected virtual int FilterInput(Span<byte> data) => data.Length;

    /// <summary>Releases descriptors and files; the thread has ended.</summary>
    protected abstract void Close();

    private int WriteDirectly(ReadOnlySpan<byte> data)
    {
        int fd = OutputFd;
        if (fd < 0)
        {
            return 0;
        }

        _probe[0] = new PollEntry { Fd = fd, Events = PollEntry.Out };
        if (Poll.Wait(_probe, 0) == 0 || (_probe[0].Returned & PollEntry.Out) == 0)
        {
            return 0;
        }

        return Math.Max(0, WriteOutput(fd, data[..Math.Min(data.Length, DirectChunk)]));
    }

    private void Main()
    {
        NativeThread.ShowName();
        while (true)
        {
            bool wantOutput;
            bool wantInput;
            bool ending;
            lock (_gate)
            {
                ending = _ending;
                wantOutput = _count > 0;
                wantInput = _receiver is not null && !_inputBlocked;
            }

            if (ending)
            {
                DrainOnce();
                return;
            }

            if (wantInput && _inputStart < _inputEnd)
            {
                DeliverInput();
                continue;
            }

            _polled[0] = new PollEntry { Fd = _wake.Fd, Events = PollEntry.In };
            _polled[1] = new PollEntry { Fd = wantInput ? InputFd : -1, Events = PollEntry.In };
            _polled[2] = new PollEntry { Fd = wantOutput ? OutputFd : -1, Events = PollEntry.Out };
            _polled[3] = new PollEntry { Fd = ListenFd, Events = PollEntry.In };
            _ = Poll.Wait(_polled, -1);
            _ = _wake.Drain();
            if (_polled[3].Returned != 0)
            {
                OnListenReady();
            }

            if (_polled[2].Returned != 0)
            {
                DrainOnce();
            }

            if (_polled[1].Returned != 0)
            {
                ReadInput();
            }
        }
    }

    private void DrainOnce()
    {
        Action? announce = null;
        lock (_gate)
        {
            int fd = OutputFd;
            while (_count > 0 && fd >= 0)
            {
                int run = Math.Min(Math.Min(_count, OutputCapacity - _head), DirectChunk);
                int written = WriteOutput(fd, _output.AsSpan(_head, run));
                if (written == -Errno.EAGAIN)
                {
                    break;
                }

                if (written <= 0)
                {
                    _count = 0;
                    OnOutputFailed();
                    break;
                }

                _head = (_head + written) % OutputCapacity;
                _count -= written;
                _probe[0] = new PollEntry { Fd = fd, Events = PollEntry.Out };
                if (Poll.Wait(_probe, 0) == 0)
                {
                    break;
                }
            }

            if (_outputRefused && _count < OutputCapacity / 2)
            {
                _outputRefused = false;
                announce = _outputSpace;
            }
        }

        announce?.Invoke();
    }

    private void ReadInput()
    {
        int n = FileIo.Read(InputFd, _input);
        if (n == -Errno.EAGAIN)
        {
            return;
        }

        if (n <= 0)
        {
            OnInputEnd();
            return;
        }

        _inputStart = 0;
        _inputEnd = FilterInput(_input.AsSpan(0, n));
    }

    private void DeliverInput()
    {
        ConsoleInput? receiver;
        lock (_gate)
        {
            // Blocked before the offer: room that comes up during the call must not be missed.
            receiver = _receiver;
            _inputBlocked = true;
        }

        int taken = receiver?.Invoke(_input.AsSpan(_inputStart, _inputEnd - _inputStart)) ?? 0;
        _inputStart += taken;
        if (_inputStart == _inputEnd)
        {
            lock (_gate)
            {
                _inputBlocked = false;
            }
        }
    }
}
