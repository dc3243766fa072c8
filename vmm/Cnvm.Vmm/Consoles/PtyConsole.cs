using Cnvm.Linux;

namespace Cnvm.Vmm.Consoles;

/// <summary>A pseudo-terminal that a person opens whenever they like. Output that nobody reads is dropped once the buffer is full.</summary>
public sealed class PtyConsole : HostConsole
{
    private readonly PseudoTerminal _pty;

    /// <exception cref="LinuxException">The host has no pseudo-terminal left.</exception>
    public PtyConsole()
        : base("console-pty") => _pty = new PseudoTerminal();

    public override string? Path => _pty.Path;

    protected override int InputFd => _pty.Fd;

    protected override int OutputFd => _pty.Fd;

    protected override bool LosesOutput => true;

    // The peer is held open here, so a person who closes the terminal is not seen as an end; they may come back.
    protected override void OnInputEnd()
    {
    }

    protected override void OnOutputFailed()
    {
    }

    protected override void Close() => _pty.Dispose();
}
