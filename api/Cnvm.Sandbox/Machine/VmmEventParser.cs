using System.Text.Json;

namespace Cnvm.Sandbox.Machine;

/// <summary>Takes the event monitor's stream apart: JSON objects with an empty line after each.</summary>
internal sealed class VmmEventParser
{
    private const int MaxEventBytes = 256 << 10;
    private byte[] _buffer = new byte[4096];
    private int _length;

    /// <summary>Takes bytes as they come; returns what is complete now.</summary>
    /// <exception cref="SandboxException">It is no such stream.</exception>
    public List<VmmEvent> Add(ReadOnlySpan<byte> bytes)
    {
        if (_length + bytes.Length > MaxEventBytes)
        {
            throw new SandboxException(SandboxErrorKind.Gone, "the VMM sends events without an end");
        }

        if (_length + bytes.Length > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_length + bytes.Length, _buffer.Length * 2));
        }

        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
        var events = new List<VmmEvent>();
        int start = 0;
        int end;
        while ((end = _buffer.AsSpan(start, _length - start).IndexOf("\n\n"u8)) >= 0)
        {
            events.Add(Parse(_buffer.AsMemory(start, end)));
            start += end + 2;
        }

        _buffer.AsSpan(start, _length - start).CopyTo(_buffer);
        _length -= start;
        return events;
    }

    private static VmmEvent Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            var properties = new Dictionary<string, string>();
            if (root.TryGetProperty("properties", out JsonElement list) && list.ValueKind == JsonValueKind.Object)
            {
                foreach (JsonProperty property in list.EnumerateObject())
                {
                    properties[property.Name] = property.Value.ToString();
                }
            }

            return new VmmEvent(root.GetProperty("source").GetString() ?? "", root.GetProperty("event").GetString() ?? "", properties);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new SandboxException(SandboxErrorKind.Gone, $"the VMM sends something else than events: {e.Message}", e);
        }
    }
}
