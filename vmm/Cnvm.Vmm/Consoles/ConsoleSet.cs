using Cnvm.Linux;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Consoles;

/// <summary>
/// The host's ends of the serial port, the virtio console and the debug port. They outlive a machine, so that a reboot keeps
/// pseudo-terminals and connected sockets. The VMM's own terminal exists once, whoever writes to it.
/// </summary>
public sealed class ConsoleSet : IDisposable
{
    private readonly List<HostConsole> _owned = [];

    private ConsoleSet()
    {
    }

    /// <summary>Null: nothing is connected.</summary>
    public HostConsole? Serial { get; private set; }

    /// <inheritdoc cref="Serial"/>
    public HostConsole? Console { get; private set; }

    /// <inheritdoc cref="Serial"/>
    public HostConsole? Debug { get; private set; }

    /// <summary>Opens what the configuration asks for.</summary>
    /// <param name="quit">A person at the VMM's terminal asked to quit.</param>
    /// <exception cref="MachineBuildException">One cannot be opened; none stays open.</exception>
    public static ConsoleSet Open(VmConfig config, Action quit)
    {
        ArgumentNullException.ThrowIfNull(config);
        var set = new ConsoleSet();
        try
        {
            set.Serial = set.Open("serial", config.Serial.Mode, config.Serial.File, config.Serial.FileSize, config.Serial.Socket, quit);
            set.Console = set.Open("console", config.Console.Mode, config.Console.File, config.Console.FileSize, config.Console.Socket, quit);
            set.Debug = set.Open("debug_console", config.DebugConsole.Mode, config.DebugConsole.File, config.DebugConsole.FileSize, null, quit);
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }
    }

    /// <summary>The configuration with the paths of pseudo-terminals filled in, as vm.info shows them.</summary>
    public VmConfig WithPaths(VmConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config with
        {
            Serial = config.Serial.Mode == ConsoleMode.Pty ? config.Serial with { File = Serial?.Path } : config.Serial,
            Console = config.Console.Mode == ConsoleMode.Pty ? config.Console with { File = Console?.Path } : config.Console,
            DebugConsole = config.DebugConsole.Mode == ConsoleMode.Pty ? config.DebugConsole with { File = Debug?.Path } : config.DebugConsole,
        };
    }

    public void Dispose()
    {
        foreach (HostConsole console in _owned)
        {
            console.Dispose();
        }

        _owned.Clear();
    }

    private HostConsole? Open(string field, ConsoleMode mode, string? file, ulong? fileSize, string? socket, Action quit)
    {
        if (mode == ConsoleMode.Tty && _owned.OfType<TerminalConsole>().FirstOrDefault() is { } shared)
        {
            return shared;
        }

        try
        {
            HostConsole? console = mode switch
            {
                ConsoleMode.Tty => new TerminalConsole(quit),
                ConsoleMode.Pty => new PtyConsole(),
                ConsoleMode.File => new FileConsole(file!, fileSize),
                ConsoleMode.Socket => new SocketConsole(socket!),
                _ => null,
            };
            if (console is not null)
            {
                _owned.Add(console);
                console.Start();
            }

            return console;
        }
        catch (Exception e) when (e is LinuxException or IOException or UnauthorizedAccessException)
        {
            throw new MachineBuildException($"{field}: cannot open {file ?? socket ?? mode.ToString()}: {e.Message}", e);
        }
    }
}
