using Cnvm.Devices.Serial;
using Cnvm.Vmm.Consoles;

namespace Cnvm.Vmm.Platform;

/// <summary>
/// Connects a UART or virtio console to a host console. Locks are taken in one order, device then buffer then console, because
/// the console calls back without holding its own.
/// </summary>
internal sealed class ConsoleBackend : ISerialBackend
{
    private const int InputCapacity = 1024;

    private readonly HostConsole _console;
    private readonly Lock _gate = new();
    private readonly byte[] _input = new byte[InputCapacity];
    private int _head;
    private int _count;
    private Action? _inputReady;

    public ConsoleBackend(HostConsole console) => _console = console;

    /// <summary>Lets the console call the device; input flows from now on.</summary>
    /// <param name="inputReady">There is something to read.</param>
    /// <param name="outputReady">There is room again.</param>
    public void Connect(Action inputReady, Action outputReady)
    {
        _inputReady = inputReady;
        _console.Connect(Accept, outputReady);
    }

    public void Disconnect() => _console.Connect(null, null);

    public bool TryWrite(byte value) => _console.Write([value]) == 1;

    public int Read(Span<byte> destination)
    {
        int given = 0;
        lock (_gate)
        {
            while (given < destination.Length && _count > 0)
            {
                destination[given++] = _input[_head];
                _head = (_head + 1) % InputCapacity;
                _count--;
            }
        }

        if (given > 0)
        {
            _console.ResumeInput();
        }

        return given;
    }

    private int Accept(ReadOnlySpan<byte> data)
    {
        int taken;
        lock (_gate)
        {
            taken = Math.Min(data.Length, InputCapacity - _count);
            for (int i = 0; i < taken; i++)
            {
                _input[(_head + _count + i) % InputCapacity] = data[i];
            }

            _count += taken;
        }

        _inputReady?.Invoke();
        return taken;
    }
}
