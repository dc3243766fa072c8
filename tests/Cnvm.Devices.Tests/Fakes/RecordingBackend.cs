using Cnvm.Devices.Platform;
using Cnvm.Devices.Serial;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>The far end of a serial line, with input to give and room for so many bytes of output.</summary>
internal sealed class RecordingBackend : ISerialBackend, IByteSink
{
    private readonly List<byte> _output = [];
    private readonly Queue<byte> _input = new();

    public int Room { get; set; } = int.MaxValue;

    public string Output => string.Concat(_output.Select(b => (char)b));

    public int Waiting => _input.Count;

    public void Type(string text)
    {
        foreach (char c in text)
        {
            _input.Enqueue((byte)c);
        }
    }

    public bool TryWrite(byte value)
    {
        if (_output.Count >= Room)
        {
            return false;
        }

        _output.Add(value);
        return true;
    }

    public int Read(Span<byte> destination)
    {
        int count = 0;
        while (count < destination.Length && _input.TryDequeue(out byte value))
        {
            destination[count++] = value;
        }

        return count;
    }

    void IByteSink.Write(byte value) => _output.Add(value);
}
