using System.Collections.Immutable;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>An element for looking at: what <c>inspect</c> prints and comparisons go through. Needs no declarations.</summary>
/// <param name="Name">The element's name, or its position in a list.</param>
/// <param name="Value">A number as <see cref="ulong"/>, <see cref="long"/> or <see cref="bool"/>, a <see cref="string"/>, a
/// byte array or a array of <see cref="ulong"/>; null for a record or a list.</param>
/// <param name="Children">Elements of a record or items of a list; empty for values.</param>
public sealed record StateNode(string Name, ElementType Type, object? Value, ImmutableArray<StateNode> Children)
{
    /// <summary>Takes a whole state apart.</summary>
    /// <exception cref="StateFormatException">It is no state, damaged, nested too deep, or has more elements than any machine.</exception>
    public static StateNode Parse(ReadOnlyMemory<byte> state)
    {
        int left = StateFormat.MaxNodes;
        return Record("state", StateParser.Open(state), "state", 0, ref left);
    }

    /// <summary>The child of this name; null if there is none.</summary>
    public StateNode? Child(string name)
    {
        foreach (StateNode child in Children)
        {
            if (child.Name == name)
            {
                return child;
            }
        }

        return null;
    }

    /// <param name="left">How many more elements there may be.</param>
    private static StateNode Record(string name, ReadOnlyMemory<byte> record, string path, int depth, ref int left)
    {
        if (depth > StateFormat.MaxDepth)
        {
            throw new StateFormatException($"{path}: records are nested deeper than {StateFormat.MaxDepth}");
        }

        if (--left < 0)
        {
            throw new StateFormatException($"{path}: the state has more than {StateFormat.MaxNodes} elements");
        }

        var children = ImmutableArray.CreateBuilder<StateNode>();
        foreach (StateElement element in StateParser.Elements(record, path))
        {
            left--;
            children.Add(Node(element, $"{path}/{element.Name}", depth + 1, ref left));
        }

        return new StateNode(name, ElementType.Record, null, children.ToImmutable());
    }

    private static StateNode List(in StateElement element, string path, int depth, ref int left)
    {
        var items = ImmutableArray.CreateBuilder<StateNode>();
        foreach (ReadOnlyMemory<byte> item in StateParser.Items(element.Payload, path))
        {
            items.Add(Record($"{items.Count}", item, $"{path}[{items.Count}]", depth, ref left));
        }

        return new StateNode(element.Name, element.Type, null, items.ToImmutable());
    }

    private static StateNode Node(in StateElement element, string path, int depth, ref int left) => element.Type switch
    {
        ElementType.Record => Record(element.Name, element.Payload, path, depth, ref left),
        ElementType.RecordList => List(element, path, depth, ref left),
        ElementType.Bool => Leaf(element, StateParser.Number(element, path) != 0),
        ElementType.I64 => Leaf(element, (long)StateParser.Number(element, path)),
        ElementType.U8 or ElementType.U16 or ElementType.U32 or ElementType.U64 => Leaf(element, StateParser.Number(element, path)),
        ElementType.Text => Leaf(element, StateParser.Text(element, path)),
        ElementType.U64List => Leaf(element, StateParser.Numbers(element, path)),
        // Bytes, and whatever a newer version may have.
        _ => Leaf(element, element.Payload.ToArray()),
    };

    private static StateNode Leaf(in StateElement element, object value) => new(element.Name, element.Type, value, []);
}
