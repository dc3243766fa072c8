namespace Cnvm.Hypervisor.State.Format;

/// <summary>
/// Builds a record from a state. Elements are found by number; name and type must be what the declaration says. An element that
/// nobody asks for is refused by name when it is mandatory.
/// </summary>
public sealed class StateReader : StateVisitor
{
    private readonly Stack<Scope> _outer = [];
    private Scope _scope;

    private StateReader(Scope root) => _scope = root;

    /// <summary>Reads a whole state.</summary>
    /// <exception cref="StateFormatException">It is no state, damaged, newer, or an element is missing, unknown or of another type.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> state, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        var reader = new StateReader(new Scope(StateParser.Open(state), "state"));
        T value = describe(reader, null);
        reader._scope.RefuseUnknown();
        return value;
    }

    public override ulong? OptionalU64(int number, string name, ulong? value) =>
        _scope.Find(number, name, ElementType.U64) is { } element ? StateParser.Number(element, _scope.PathOf(name)) : null;

    public override string Text(int number, string name, string? value, string? absent = null, bool ignorable = false) =>
        _scope.Find(number, name, ElementType.Text) is { } element
            ? StateParser.Text(element, _scope.PathOf(name))
            : absent ?? throw _scope.Missing(name);

    public override byte[] Bytes(int number, string name, ReadOnlyMemory<byte>? value, bool ignorable = false) =>
        _scope.Find(number, name, ElementType.Bytes) is { } element ? element.Payload.ToArray() : throw _scope.Missing(name);

    public override ulong[] U64List(int number, string name, IReadOnlyList<ulong>? value, bool ignorable = false) =>
        _scope.Find(number, name, ElementType.U64List) is { } element
            ? StateParser.Numbers(element, _scope.PathOf(name))
            : throw _scope.Missing(name);

    public override T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        return _scope.Find(number, name, ElementType.Record) is { } element
            ? Inside(element.Payload, name, () => describe(this, null))
            : throw _scope.Missing(name);
    }

    public override T Record<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe)
        where T : struct
    {
        ArgumentNullException.ThrowIfNull(describe);
        return _scope.Find(number, name, ElementType.Record) is { } element
            ? Inside(element.Payload, name, () => describe(this, null))
            : throw _scope.Missing(name);
    }

    public override T? Optional<T>(int number, string name, T? value, Func<StateVisitor, T?, T> describe, bool ignorable = false)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        return _scope.Find(number, name, ElementType.Record) is { } element ? Inside(element.Payload, name, () => describe(this, null)) : null;
    }

    public override T[] List<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(describe);
        return ReadList(number, name, () => describe(this, null));
    }

    public override T[] ValueList<T>(int number, string name, IReadOnlyList<T>? value, Func<StateVisitor, T?, T> describe)
    {
        ArgumentNullException.ThrowIfNull(describe);
        return ReadList(number, name, () => describe(this, null));
    }

    public override void Require(bool condition, string what)
    {
        if (!condition)
        {
            throw new StateFormatException($"{_scope.Path}: {what}");
        }
    }

    protected override ulong Scalar(int number, string name, ElementType type, ulong? value, ulong? absent, bool ignorable) =>
        _scope.Find(number, name, type) is { } element
            ? StateParser.Number(element, _scope.PathOf(name))
            : absent ?? throw _scope.Missing(name);

    private T[] ReadList<T>(int number, string name, Func<T> describe)
    {
        if (_scope.Find(number, name, ElementType.RecordList) is not { } element)
        {
            throw _scope.Missing(name);
        }

        List<ReadOnlyMemory<byte>> items = StateParser.Items(element.Payload, _scope.PathOf(name));
        var values = new T[items.Count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Inside(items[i], $"{name}[{i}]", describe);
        }

        return values;
    }

    private T Inside<T>(ReadOnlyMemory<byte> record, string name, Func<T> describe)
    {
        // The depth of what is read follows from the declarations, so hostile input cannot nest any deeper.
        Scope inner = new(record, _scope.PathOf(name));
        _outer.Push(_scope);
        _scope = inner;
        T value = describe();
        inner.RefuseUnknown();
        _scope = _outer.Pop();
        return value;
    }

    /// <summary>The elements of one record, and which of them were asked for.</summary>
    private sealed class Scope
    {
        private readonly Dictionary<int, StateElement> _elements = [];

        public Scope(ReadOnlyMemory<byte> record, string path)
        {
            Path = path;
            foreach (StateElement element in StateParser.Elements(record, path))
            {
                _elements.Add(element.Number, element);
            }
        }

        public string Path { get; }

        public string PathOf(string name) => $"{Path}/{name}";

        public StateFormatException Missing(string name) => new($"{PathOf(name)}: the element is missing");

        public StateElement? Find(int number, string name, ElementType type)
        {
            if (!_elements.Remove(number, out StateElement element))
            {
                return null;
            }

            return element.Name == name && element.Type == type
                ? element
                : throw new StateFormatException($"{PathOf(name)}: element {number} is {element.Name} of type {element.Type} here, not {type}");
        }

        public void RefuseUnknown()
        {
            foreach (StateElement element in _elements.Values)
            {
                if (element.IsMandatory)
                {
                    throw new StateFormatException(
                        $"{PathOf(element.Name)}: this program does not know element {element.Number}, and the state says that it must; use a newer cnvm");
                }
            }
        }
    }
}
