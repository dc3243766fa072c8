using Cnvm.Linux;

namespace Cnvm.Vmm.Consoles;

/// <summary>
/// The terminal that the VMM was started on (standard input and output). A real terminal is put into raw mode, and
/// <c>Ctrl-A x</c> asks for the end of the machine (<c>Ctrl-A Ctrl-A</c> sends one Ctrl-A).
/// </summary>
public sealed class TerminalConsole : HostConsole
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const byte Escape = 0x01;

    private readonly IDisposable? _mode;
    private readonly Action _quit;
    private bool _inputEnded;
    private bool _outputEnded;
    private bool _escaped;

    /// <param name="quit">Called on the console's thread when the person asks to quit.</param>
    public TerminalConsole(Action quit)
        : base("console-tty")
    {
        _quit = quit;
        IsInteractive = Terminal.IsTerminal(StandardInput);
        _mode = IsInteractive ? Terminal.EnterRawMode(StandardInput) : null;
    }

    /// <summary>A person sits at a real terminal.</summary>
    public bool IsInteractive { get; }

    protected override int InputFd => _inputEnded ? -1 : StandardInput;

    protected override int OutputFd => _outputEnded ? -1 : StandardOutput;

    protected override bool LosesOutput => _outputEnded;

    protected override int FilterInput(Span<byte> data)
    {
        if (!IsInteractive)
        {
            return data.Length;
        }

        int kept = 0;
        foreach (byte b in data)
        {
            if (_escaped)
            {
                _escaped = false;
                switch (b)
                {
                    case (byte)'x' or (byte)'X':
                        _quit();
                        continue;
                    case Escape:
                        data[kept++] = Escape;
                        continue;
                    default:
                        // An unknown sequence is dropped, as terminal programs with this escape key do.
                        continue;
                }
            }

            if (b == Escape)
            {
                _escaped = true;
                continue;
            }

            data[kept++] = b;
        }

        return kept;
    }

    // Ordinary (a pipe, /dev/null); the guest's output still goes out.
    protected override void OnInputEnd() => _inputEnded = true;

    protected override void OnOutputFailed() => _outputEnded = true;

    protected override void Close() => _mode?.Dispose();
}
